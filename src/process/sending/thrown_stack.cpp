#include "process/sending/thrown_stack.hpp"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/sendable.hpp>

#include "engine/symbols.hpp"
#include "port/throw_trace.hpp"
#include "process/sending/code_place.hpp"
#include "thread/thread_state.hpp"

namespace weft::detail {

namespace {

/// As it travels. Modules are few, calls many.
struct SentStack {
  std::vector<std::uint64_t> modules;
  std::vector<std::string> names;  // of the modules
  std::vector<std::uint64_t> offsets;
  std::vector<std::uint8_t> in_module;  // of each offset: its place in `modules`
  std::string nested;
};

/// One line to be shown.
struct Line {
  std::string text;
  bool is_of_library = false;
};

struct Frame {
  std::uintptr_t address = 0;  // 0: its code is not loaded here
  std::string elsewhere;
};

// With the runtime's own the stack begins. Names that a sanitizer has decorated count, too.
bool is_throwing(std::string_view function) {
  for (const std::string_view name : {"_Unwind_RaiseException", "_Unwind_Resume_or_Rethrow", "__cxa_throw",
                                      "__cxa_rethrow", "std::rethrow_exception("}) {
    if (function.find(name) != std::string_view::npos) return true;
  }
  return false;
}

std::size_t frames_of_throwing(const CallPlaces& places, const std::vector<Frame>& frames) {
  constexpr std::size_t kMost = 8;
  std::size_t end = 0;
  for (std::size_t i = 0; i < std::min(frames.size(), kMost); ++i) {
    if (frames[i].address != 0 && is_throwing(places.function_of(frames[i].address))) end = i + 1;
  }
  return end;
}

void add_lines(const CallPlaces& places, const Frame& frame, std::vector<Line>& lines) {
  if (frame.address == 0) return lines.push_back({frame.elsewhere, false});
  for (const CallPlaces::Call& call : places.calls_at(frame.address)) {
    std::string text = call.function.empty() ? call.place : call.function + " (" + call.place + ')';
    lines.push_back({std::move(text), call.is_of_library});
  }
}

std::string text_of(const std::vector<Frame>& frames) {
  if (frames.empty()) return {};
  const CallPlaces places;
  std::vector<Line> lines;
  for (std::size_t i = frames_of_throwing(places, frames); i < frames.size(); ++i)
    add_lines(places, frames[i], lines);
  const bool is_cut_off = frames.size() == port::ThrowTrace::kMost;
  if (!is_cut_off) {
    // At the other end, weft's own way to the task. Not if that is all there is.
    const auto own =
        std::find_if(lines.rbegin(), lines.rend(), [](const Line& line) { return !line.is_of_library; });
    if (own != lines.rend()) lines.erase(own.base(), lines.end());
  }
  std::string text;
  for (const Line& line : lines) text += (text.empty() ? "  at " : "  called from ") + line.text + '\n';
  if (is_cut_off) text += "  and so on\n";
  return text;
}

class ReceivedStack final : public RemoteStack {
 public:
  ReceivedStack(std::vector<Frame> frames, std::string nested)
      : frames_{std::move(frames)}, nested_{std::move(nested)} {}
  [[nodiscard]] std::string text() const override { return text_of(frames_) + nested_; }

 private:
  const std::vector<Frame> frames_;
  const std::string nested_;
};

std::string hexadecimal(std::uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(number));
  return text;
}

Frame receive_frame(const SentStack& sent, std::size_t i) {
  const std::size_t module = sent.in_module[i];
  if (module >= sent.modules.size())
    throw ProtocolError{"receiving the stack of a throw: a call of an unknown module"};
  Frame frame{address_of({sent.modules[module], sent.offsets[i]}), {}};
  if (frame.address == 0)
    frame.elsewhere =
        (sent.names[module].empty() ? "" : sent.names[module] + '+') + hexadecimal(sent.offsets[i]);
  return frame;
}

bool is_remote_error(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const RemoteError&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

void send_stack(process::Outgoing& out, std::span<const std::uintptr_t> callers, const std::string& nested) {
  SentStack sent;
  sent.nested = nested;
  for (const std::uintptr_t caller : callers) {
    const CodePlace place = code_place(caller);
    const auto known = std::find(sent.modules.begin(), sent.modules.end(), place.module);
    sent.offsets.push_back(place.offset);
    sent.in_module.push_back(static_cast<std::uint8_t>(known - sent.modules.begin()));
    if (known != sent.modules.end()) continue;
    sent.modules.push_back(place.module);
    sent.names.push_back(name_of_module(place.module));
  }
  out(sent.modules, sent.names, sent.offsets, sent.in_module, sent.nested);
}

std::shared_ptr<const RemoteStack> receive_stack(process::Incoming& in) {
  SentStack sent;
  in(sent.modules, sent.names, sent.offsets, sent.in_module, sent.nested);
  if (sent.names.size() != sent.modules.size() || sent.in_module.size() != sent.offsets.size()) {
    throw ProtocolError{"receiving the stack of a throw: its parts do not fit together"};
  }
  if (sent.offsets.empty() && sent.nested.empty()) return nullptr;
  std::vector<Frame> frames;
  frames.reserve(sent.offsets.size());
  for (std::size_t i = 0; i < sent.offsets.size(); ++i) frames.push_back(receive_frame(sent, i));
  return std::make_shared<ReceivedStack>(std::move(frames), std::move(sent.nested));
}

std::string describe_calls(std::span<const std::uintptr_t> callers) {
  std::vector<Frame> frames;
  for (const std::uintptr_t caller : callers) frames.push_back({caller, {}});
  return text_of(frames);
}

std::string describe_nested(const std::exception_ptr& failure) {
  if (!failure) return {};
  try {
    std::rethrow_exception(failure);
  } catch (const RemoteError& remote) {
    return "  thrown first by " + remote.place() + '\n' + remote.stack();
  } catch (const std::exception& error) {
    const auto* const outer = dynamic_cast<const std::nested_exception*>(&error);
    if (!outer || !outer->nested_ptr()) return {};
    const std::string further = describe_nested(outer->nested_ptr());
    // What is nested in an exception that came from another process says of the same exception where that was.
    return is_remote_error(outer->nested_ptr())
               ? further
               : "  with a nested " + describe(outer->nested_ptr()) + '\n' + further;
  } catch (...) {
    return {};
  }
}

}  // namespace weft::detail
