// A disk that is full, in a small tmpfs of the test's own.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/fixture.hpp"

namespace weft::app::test {
namespace {

namespace fs = std::filesystem;

// Runs `body` in a child of its own, with 8 MiB mounted on `folder` that nobody else sees. The child's expectations
// come back as its exit code and its output.
template <class Body>
void with_small_disk(const std::string& folder, Body body) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting a small disk needs root";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr int kNoMount = 77;
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=8m") != 0) {
      ::_exit(kNoMount);
    }
    body();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "this machine does not let root mount a tmpfs";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(DiskFull, IsAnsweredAndTheConnectionGoesOn) {
  TempFolder store;
  with_small_disk(store.path().string(), [&] {
    TempFolder files;
    write_file(files / "1-fits", noise(1'000'000));
    write_file(files / "2-too-big", noise(20'000'000));
    write_file(files / "3-fits", noise(2'000'000));
    ServerProcess server({}, store.path().string());
    const Result sent = run(
        weft({"send", "-j", "1", files / "1-fits", files / "2-too-big", files / "3-fits", server.address()}));
    EXPECT_EQ(sent.code, 1);
    EXPECT_NE(sent.err.find("free some space"), std::string::npos) << sent.err;
    EXPECT_TRUE(same_bytes(read_file(server.file("1-fits")), noise(1'000'000)));
    EXPECT_TRUE(same_bytes(read_file(server.file("3-fits")), noise(2'000'000)));
    EXPECT_FALSE(fs::exists(server.file("2-too-big")));
  });
}

TEST(DiskFull, InTheMiddleOfAnUploadLeavesAPartThatCanGoOn) {
  TempFolder store;
  with_small_disk(store.path().string(), [&] {
    TempFolder files;
    write_file(files / "big", noise(6'000'000));
    ServerProcess server({}, store.path().string());
    // There is room when the upload is offered, and none any more when it comes.
    RawClient client(server.port());
    client.send_frame(R"({"msg_type":"hello","version":1})");
    ASSERT_TRUE(client.recv_frame());
    client.send_frame(R"({"msg_type":"put","id":1,"name":"big","size":6000000,"checks":false})");
    ASSERT_TRUE(client.recv_frame());
    write_file(store / "filler", noise(5'000'000));
    client.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
    const std::string body = noise(6'000'000);
    for (std::size_t at = 0; at < body.size(); at += 1 << 20) {
      const std::string_view chunk = std::string_view(body).substr(at, 1 << 20);
      client.send_length(static_cast<std::int32_t>(chunk.size()));
      client.send(std::string(8, '\0'));
      client.send(chunk);
    }
    client.send_frame(R"({"msg_type":"end","id":1})");
    const auto answer = client.recv_frame();
    ASSERT_TRUE(answer);
    EXPECT_NE(answer->find("no_space"), std::string::npos) << *answer;
    // The connection survives.
    client.send_frame(R"({"msg_type":"list","id":2})");
    EXPECT_TRUE(client.recv_frame());
    fs::remove(store / "filler");
    client.send_frame(R"({"msg_type":"put","id":3,"name":"big","size":6000000,"checks":false})");
    const auto ready = client.recv_frame();
    ASSERT_TRUE(ready);
    EXPECT_GT(nlohmann::json::parse(*ready)["offset"], 0) << *ready;
  });
}

TEST(DiskFull, ManySmallFilesFailOneByOne) {
  TempFolder store;
  with_small_disk(store.path().string(), [&] {
    TempFolder files;
    for (int i = 0; i < 200; ++i) write_file(files / ("t/f" + std::to_string(i)), noise(100'000));
    ServerProcess server({}, store.path().string());
    const Result sent = run(weft({"send", "-q", files / "t", server.address()}));
    EXPECT_EQ(sent.code, 1);
    EXPECT_NE(sent.err.find("No space left"), std::string::npos) << sent.err;
    const auto stored = files_in(store / "t");
    EXPECT_GT(stored.size(), 10u);
    for (const std::string& name : stored) EXPECT_TRUE(same_bytes(read_file(store / ("t/" + name)), noise(100'000)));
    EXPECT_TRUE(fs::is_empty(store / ".weft-part"));
  });
}

TEST(DiskFull, BaseProtocolDisconnectsAndLeavesNothing) {
  TempFolder store;
  with_small_disk(store.path().string(), [&] {
    ServerProcess server({}, store.path().string());
    RawClient client(server.port());
    client.send_frame(R"({"msg_type":"file","file_name":"big"})");
    client.send_frame(noise(20'000'000));
    EXPECT_TRUE(client.sees_the_end());
    EXPECT_EQ(files_in(store.path()), std::vector<std::string>());
    RawClient next(server.port());
    next.send_frame(R"({"msg_type":"file","file_name":"small"})");
    next.send_frame("x");
    EXPECT_TRUE(eventually([&] { return fs::exists(store / "small"); }));
  });
}

TEST(DiskFull, OnTheReceivingSideIsSaid) {
  TempFolder store;
  with_small_disk(store.path().string(), [&] {
    ServerProcess server;
    write_file(server.file("a-big"), noise(20'000'000));
    write_file(server.file("b-small"), "x");
    const Result got =
        run(weft({"get", "-j", "1", server.at("a-big"), server.at("b-small"), store.path().string()}));
    EXPECT_EQ(got.code, 1);
    EXPECT_NE(got.err.find("free some space"), std::string::npos) << got.err;
    EXPECT_EQ(read_file(store / "b-small"), "x");
    EXPECT_EQ(files_in(store.path()), std::vector<std::string>{"b-small"});
  });
}

}  // namespace
}  // namespace weft::app::test
