#include "client/prompt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "base/text.hpp"
#include "client/connection.hpp"
#include "client/plain.hpp"
#include "client/report.hpp"
#include "client/retry.hpp"
#include "client/send_job.hpp"
#include "proto/names.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

namespace {

/// What the prompt talks to: either protocol.
class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual void send_text(std::string_view text) = 0;
  virtual ExitCode send_file(const std::string& path) = 0;
  virtual void close() = 0;
};

class PlainConversation : public Conversation {
 public:
  PlainConversation(const Endpoint& target, const ClientOptions& options)
      : target_(target), connection_(target, options) {}

  void send_text(std::string_view text) override { connection_.send_text(text); }
  ExitCode send_file(const std::string& path) override {
    const std::string leaf(split_name(path).leaf);
    const std::uint64_t size = connection_.send_file(path, join_names(target_.name, leaf));
    fmt::print("sent {} ({})\n", escaped(leaf), bytes_text(size));
    return ExitCode::Done;
  }
  void close() override { connection_.close(); }

 private:
  const Endpoint& target_;
  PlainConnection connection_;
};

class ExtendedConversation : public Conversation {
 public:
  ExtendedConversation(const Endpoint& target, const ClientOptions& options)
      : target_(target),
        options_(options),
        connection_(std::make_unique<ServerConnection>(target, options)) {}

  void send_text(std::string_view text) override {
    try {
      say(text);
    } catch (const ConnectionLost&) {
      // People think longer than servers wait: one that hung up meanwhile is called again, once.
      connection_ = std::make_unique<ServerConnection>(target_, options_);
      say(text);
    }
  }
  // Files have their own connections, with all that comes with them.
  ExitCode send_file(const std::string& path) override {
    Report report(options_, "sent");
    SendJob job(target_, options_, report);
    job.run({path}, "");
    return report.exit_code();
  }
  void close() override { connection_->say_close(); }

 private:
  void say(std::string_view text) {
    const RequestId id = ++last_id_;
    try {
      connection_->wire().queue(Say{id, std::string(text)});
      connection_->wire().flush();
    } catch (const OSError& error) {
      throw ConnectionLost(error.what());
    }
    try {
      (void)connection_->recv_answer<Done>(id);
    } catch (const SaidBye& bye) {
      if (!bye.is_worth_a_retry()) throw;
      throw ConnectionLost(bye.what());
    }
  }

  const Endpoint& target_;
  const ClientOptions& options_;
  std::unique_ptr<ServerConnection> connection_;
  RequestId last_id_ = 0;
};

std::optional<std::string> read_line() {
  return weft::blocking([]() -> std::optional<std::string> {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  });
}

ExitCode converse(Conversation& conversation, bool is_terminal) {
  ExitCode worst = ExitCode::Done;
  while (true) {
    if (is_terminal) fmt::print("msg|TEXT, file|PATH or q: ");
    std::fflush(stdout);
    const std::optional<std::string> line = read_line();
    if (!line) break;
    const PromptCommand command = parse_prompt_line(*line);
    if (command.kind == PromptCommand::Kind::Quit) break;
    if (command.kind == PromptCommand::Kind::Bad) fmt::print("bad format\n");
    try {
      if (command.kind == PromptCommand::Kind::Text) conversation.send_text(command.argument);
      if (command.kind == PromptCommand::Kind::File) {
        const ExitCode code = conversation.send_file(std::string(command.argument));
        if (code != ExitCode::Done) worst = code;
      }
    } catch (const Refusal& refusal) {
      fmt::print(stderr, "weft: {}\n", escaped(refusal.what()));
      worst = refusal.code() == Code::Denied ? ExitCode::Denied : ExitCode::Incomplete;
    }
  }
  conversation.close();
  return worst;
}

}  // namespace

PromptCommand parse_prompt_line(std::string_view line) {
  constexpr std::string_view kText = "msg|";
  constexpr std::string_view kFile = "file|";
  if (line == "q" || line == "Q") return {PromptCommand::Kind::Quit, {}};
  if (line.starts_with(kText)) return {PromptCommand::Kind::Text, line.substr(kText.size())};
  if (line.starts_with(kFile) && line.size() > kFile.size()) {
    return {PromptCommand::Kind::File, line.substr(kFile.size())};
  }
  return {PromptCommand::Kind::Bad, {}};
}

ExitCode prompt_command(const Endpoint& target, const ClientOptions& options, bool is_plain) {
  try {
    std::unique_ptr<Conversation> conversation;
    if (is_plain) {
      conversation = std::make_unique<PlainConversation>(target, options);
    } else {
      conversation = std::make_unique<ExtendedConversation>(target, options);
    }
    return converse(*conversation, ::isatty(STDIN_FILENO) == 1);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "weft: {}: {}\n", target.server(), escaped(failure.what()));
    return exit_code_of(failure);
  }
}

}  // namespace weft::app
