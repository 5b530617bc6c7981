// The parsers of control messages and names: nothing crashes, and what is accepted survives being written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "base/endpoint.hpp"
#include "base/text.hpp"
#include "client/prompt.hpp"
#include "proto/messages.hpp"
#include "proto/names.hpp"

namespace {

using namespace weft::app;

void require(bool condition) {
  if (!condition) std::abort();
}

template <class Parse>
void check_parser(std::string_view frame, Parse parse) {
  try {
    const auto message = parse(frame);
    std::visit(
        [&](const auto& fields) {
          const std::string written = to_json(fields);
          const auto again = parse(written);
          require(again.index() == message.index());
          require(std::visit([](const auto& same) { return to_json(same); }, again) == written);
        },
        message);
  } catch (const BadMessage&) {
  }
}

void check_name(std::string_view name) {
  if (name_complaint(name)) return;
  require(!name.starts_with('/') && name.find('\0') == std::string_view::npos && is_utf8(name));
  const SplitName split = split_name(name);
  require(join_names(split.folder, split.leaf) == name);
  require(split.leaf != "." && split.leaf != ".." && !split.leaf.empty());
  require(!name_complaint(numbered_name(split.leaf, 7)));
}

void check_text(std::string_view text) {
  const std::string shown = escaped(text);
  require(is_utf8(shown));
  for (const char c : shown) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_parser(input, parse_plain_request);
  check_parser(input, parse_request);
  check_parser(input, parse_response);
  check_name(input);
  check_text(input);
  if (const auto endpoint = parse_endpoint(input)) require(parse_endpoint(endpoint->to_string()) == endpoint);
  (void)parse_bytes(input);
  (void)parse_duration(input);
  (void)parse_prompt_line(input);
  return 0;
}
