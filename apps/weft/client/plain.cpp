#include "client/plain.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.hpp"
#include "base/text.hpp"
#include "client/report.hpp"
#include "client/walk.hpp"
#include "proto/names.hpp"
#include "weft/io/blocking.hpp"
#include "weft/net/connect.hpp"
#include "weft/net/pack.hpp"

namespace weft::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kLastWordTimeout = 10s;
constexpr std::size_t kSliceBytes = 8 * kChunkBytes;  // read ahead and sent by one sendfile

Socket connect_to(const Endpoint& server, const ClientOptions& options) {
  ConnectOptions connect;
  connect.timeout = options.connect_timeout;
  return create_connection(server.host, server.port, connect);
}

}  // namespace

PlainConnection::PlainConnection(const Endpoint& server, const ClientOptions& options)
    : wire_(connect_to(server, options), kMaxPlainBytes, {0, options.silence_timeout}) {}

void PlainConnection::send_text(std::string_view text) {
  wire_.queue(PlainText{});
  wire_.queue_frame(text);
  wire_.flush();
}

std::uint64_t PlainConnection::send_file(const std::string& path, const std::string& name) {
  const FileDescriptor file = weft::blocking(
      [&] { return FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)); });
  if (!file) throw refusal_of_errno(errno, "open", path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw Refusal(Code::NotAFile, fmt::format("\"{}\" is no regular file", escaped(path)));
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > kMaxPlainBytes) {
    throw Refusal(Code::TooLarge,
                  fmt::format("\"{}\" has {}; the base protocol carries less than 2 GiB, so send it "
                              "without --plain to a server that knows the extended one",
                              escaped(path), bytes_text(size)));
  }
  wire_.queue(PlainFile{name});
  wire_.queue_bytes(pack(static_cast<std::int32_t>(size)));
  // No checksum is asked for, so the bytes need not pass through this program.
  for (std::uint64_t offset = 0; offset < size; offset += kSliceBytes) {
    wire_.send_file(file.get(), offset, std::min<std::uint64_t>(kSliceBytes, size - offset));
  }
  wire_.flush();
  return size;
}

void PlainConnection::close() {
  wire_.queue_frame(kCloseFrame);
  wire_.flush();
  wire_.socket().shutdown(Socket::How::Write);
  // Closing with something unread on the way would make the kernel throw away what the server has not read yet.
  char ignored[4096];
  const Deadline deadline = Deadline::after(kLastWordTimeout);
  try {
    while (wire_.socket().recv_into(ignored, sizeof ignored, deadline) > 0) {
    }
  } catch (const std::exception&) {
    // It never said goodbye. The base protocol does not ask it to.
  }
}

ExitCode plain_send_command(const Endpoint& target, const std::vector<std::string>& paths,
                            const std::string& as, const ClientOptions& options) {
  Report report(options, "sent");
  try {
    PlainConnection connection(target, options);
    WalkVisitor visitor;
    visitor.found = [&](LocalFile file) {
      if (file.is_empty_folder) {
        report.note(file.path + ": an empty folder, which the base protocol cannot carry; left out");
        return true;
      }
      const std::string name = as.empty() ? file.name : join_names(target.name, as);
      try {
        const std::uint64_t size = connection.send_file(file.path, name);
        report.progress().bytes_moved.fetch_add(size);
        report.file_done(name, "", size, "");
      } catch (const Refusal& refusal) {
        report.file_failed(file.path, refusal.code(), refusal.what());
      }
      return true;
    };
    visitor.failed = [&](const std::string& path, Code code, const std::string& why) {
      report.file_failed(path, code, why);
    };
    visitor.skipped = [&](const std::string& path, const std::string& why) {
      report.note(path + ": " + why);
    };
    for (const std::string& path : paths) walk(path, target.name, visitor);
    connection.close();
  } catch (const std::exception& failure) {
    report.give_up(ExitCode::Unreachable, fmt::format("{}: {}", target.server(), failure.what()));
  }
  report.summarize();
  return report.exit_code();
}

}  // namespace weft::app
