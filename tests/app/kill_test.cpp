// Interruptions of every kind, on either side: nothing is lost, nothing is torn, and the same command goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "app/fixture.hpp"
#include "base/hashing.hpp"
#include "proto/chunk.hpp"
#include "proto/messages.hpp"

namespace weft::app::test {
namespace {

namespace fs = std::filesystem;

int rounds() {
  return std::getenv("WEFT_STRESS") ? 100 : 10;
}

// Every file that can be seen is whole, at any moment.
void expect_nothing_torn(const std::string& folder, const std::string& sources) {
  for (const std::string& name : files_in(folder)) {
    EXPECT_EQ(Sha256::hex_of(read_file(folder + "/" + name)), Sha256::hex_of(read_file(sources + "/" + name)))
        << name;
  }
}

class Kill : public ::testing::Test {
 protected:
  TempFolder store;
  TempFolder sources;
  std::mt19937 random{std::random_device{}()};

  void SetUp() override {
    write_file(sources / "t/big", noise(16'000'000, 1));
    write_file(sources / "t/middle", noise(3'500'000, 2));
    for (int i = 0; i < 50; ++i) write_file(sources / ("t/small" + std::to_string(i)), noise(3000, 100u + i));
  }
  void random_pause(int max_ms) {
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % (1000u * static_cast<unsigned>(max_ms))));
  }
  void expect_everything(const std::string& folder) {
    const std::vector<std::string> names = files_in(sources.path());
    ASSERT_EQ(files_in(folder), names);
    for (const std::string& name : names) {
      ASSERT_EQ(Sha256::hex_of(read_file(folder + "/" + name)), Sha256::hex_of(read_file(sources / name)))
          << name;
    }
  }
};

TEST_F(Kill, OfTheClientAtRandomMomentsLosesAndTearsNothing) {
  ServerProcess server({"-q"}, store.path().string());
  for (int round = 0; round < rounds(); ++round) {
    const std::vector<std::string> command = weft({"send", "-q", sources / "t", server.address()});
    for (int kill = 0; kill < 3; ++kill) {
      Process client(command);
      random_pause(120);
      client.signal(SIGKILL);
      client.wait();
      expect_nothing_torn(server.folder(), sources.path().string());
    }
    const Result result = run(command);
    ASSERT_EQ(result.code, 0) << result.err;
    expect_everything(server.folder());
    fs::remove_all(server.file("t"));
  }
  EXPECT_TRUE(fs::is_empty(server.file(".weft-part")));
  EXPECT_EQ(server.stop(), 0);
}

TEST_F(Kill, OfTheServerAtRandomMomentsIsSurvivedByTheClient) {
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{"-q"}, store.path().string());
  const int port = server->port();
  for (int round = 0; round < rounds(); ++round) {
    Process client(weft({"send", "-q", sources / "t", server->address()}));
    // A client that never got through may give up at once.
    ASSERT_TRUE(eventually([&] { return !client.is_running() || !files_in(store.path()).empty(); }));
    for (int kill = 0; kill < 2; ++kill) {
      random_pause(120);
      server->process().signal(SIGKILL);
      server->process().wait();
      expect_nothing_torn(store.path().string(), sources.path().string());
      server.emplace(std::vector<std::string>{"-q"}, store.path().string(), port);
    }
    ASSERT_EQ(client.wait(), 0) << client.err();
    expect_everything(store.path().string());
    fs::remove_all(store / "t");
  }
}

TEST_F(Kill, OfTheReceivingClientLosesAndTearsNothing) {
  ServerProcess server({"-q"}, sources.path().string());
  for (int round = 0; round < rounds(); ++round) {
    const std::vector<std::string> command = weft({"get", "-q", server.at("t"), store.path().string()});
    for (int kill = 0; kill < 2; ++kill) {
      Process client(command);
      random_pause(120);
      client.signal(SIGKILL);
      client.wait();
      for (const std::string& name : files_in(store.path())) {
        if (name.ends_with(".weft-part")) continue;
        EXPECT_EQ(Sha256::hex_of(read_file(store / name)), Sha256::hex_of(read_file(sources / name))) << name;
      }
    }
    const Result result = run(command);
    ASSERT_EQ(result.code, 0) << result.err;
    expect_everything(store.path().string());
    fs::remove_all(store / "t");
  }
}

TEST_F(Kill, OfTheSendingServerIsSurvivedByTheReceivingClient) {
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{"-q"}, sources.path().string());
  const int port = server->port();
  for (int round = 0; round < rounds(); ++round) {
    Process client(weft({"get", "-q", server->at("t"), store.path().string()}));
    // Before its listing is complete a client has nothing to go on with.
    ASSERT_TRUE(eventually([&] { return !client.is_running() || !files_in(store.path()).empty(); }));
    random_pause(50);
    server->process().signal(SIGKILL);
    server->process().wait();
    server.emplace(std::vector<std::string>{"-q"}, sources.path().string(), port);
    const int code = client.wait();
    // The listing itself may have been cut: then the client says so, and the same command goes on.
    if (code != 0) {
      ASSERT_EQ(code, 3) << client.err();
      ASSERT_EQ(run(weft({"get", "-q", server->at("t"), store.path().string()})).code, 0);
    }
    expect_everything(store.path().string());
    fs::remove_all(store / "t");
  }
}

// An upload of `content` that stopped after two chunks, as `weft send` would have begun it.
class Interrupted : public ::testing::Test {
 protected:
  ServerProcess server;
  TempFolder sources;
  const std::string path = sources / "a file";
  std::string content = noise(5'000'000, 5);

  void SetUp() override {
    write_file(path, content);
    set_time();
    RawClient client(server.port());
    client.send_frame(R"({"msg_type":"hello","version":1})");
    ASSERT_TRUE(client.recv_frame());
    const nlohmann::json put = {{"msg_type", "put"},
                                {"id", 1},
                                {"name", "a file"},
                                {"size", content.size()},
                                {"mtime_ns", 1'000'000'000'000}};
    client.send_frame(put.dump());
    ASSERT_TRUE(client.recv_frame());
    client.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
    for (std::size_t i = 0; i < 2; ++i) {
      const std::string_view chunk = std::string_view(content).substr(i * kChunkBytes, kChunkBytes);
      const ChunkHeaderBytes header =
          pack_chunk_header({static_cast<std::int32_t>(chunk.size()), xxh3(chunk)});
      client.send({reinterpret_cast<const char*>(header.data()), header.size()});
      client.send(chunk);
    }
    client.send("torn");
    client.shutdown_write();
    ASSERT_TRUE(client.sees_the_end());
  }
  void set_time() const {
    const timespec times[2] = {{1000, 0}, {1000, 0}};
    ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  }
  Result send() { return run(weft({"send", path, server.address()})); }
};

TEST_F(Interrupted, UploadGoesOnWhereItStopped) {
  const Result result = send();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("going on at 2.0 MiB of 4.8 MiB"), std::string::npos) << result.err;
  EXPECT_EQ(read_file(server.file("a file")), content);
}

TEST_F(Interrupted, UploadGoesOnAfterTheServerWasKilledToo) {
  server.process().signal(SIGKILL);
  server.process().wait();
  ServerProcess next({}, server.folder());
  const Result result = run(weft({"send", path, next.address()}));
  EXPECT_NE(result.err.find("going on at 2.0 MiB of 4.8 MiB"), std::string::npos) << result.err;
  EXPECT_EQ(read_file(server.file("a file")), content);
}

TEST_F(Interrupted, UploadOfAFileThatChangedBeginsAnew) {
  content = noise(5'000'000, 6);
  write_file(path, content);
  set_time();  // same name, size and time: only the content tells
  const Result result = send();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("something else"), std::string::npos) << result.err;
  EXPECT_EQ(read_file(server.file("a file")), content);
}

TEST_F(Interrupted, CtrlCSaysHowToGoOn) {
  server.process().signal(SIGSTOP);
  Process client(weft({"send", path, server.address()}));
  // The program must have come to the point where it handles the signal: it then has several threads.
  const std::string tasks = "/proc/" + std::to_string(client.pid()) + "/task";
  const auto threads = [&] { return std::distance(fs::directory_iterator(tasks), fs::directory_iterator()); };
  ASSERT_TRUE(eventually([&] { return threads() >= 4; }));
  std::this_thread::sleep_for(200ms);
  client.signal(SIGINT);
  EXPECT_EQ(client.wait(), 130);
  EXPECT_NE(client.err().find("To go on: weft send '" + path + "'"), std::string::npos) << client.err();
  server.process().signal(SIGCONT);
  const Result result = send();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("going on at"), std::string::npos) << result.err;
  EXPECT_EQ(read_file(server.file("a file")), content);
}

TEST(InterruptedDownload, GoesOnWhereItStoppedIfItIsTheSame) {
  ServerProcess server;
  TempFolder here;
  const std::string content = noise(5'000'000, 5);
  write_file(server.file("f"), content);
  write_file(here / ".f.weft-part", content.substr(0, 2'500'000));
  const Result result = run(weft({"get", server.at("f"), here.path().string()}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("going on at 2.0 MiB"), std::string::npos) << result.err;
  EXPECT_EQ(read_file(here / "f"), content);

  write_file(here / ".g.weft-part", noise(4'000'000, 6));
  EXPECT_EQ(run(weft({"get", server.at("f"), here / "g"})).code, 0);
  EXPECT_EQ(read_file(here / "g"), content);
  EXPECT_EQ(files_in(here.path()), (std::vector<std::string>{"f", "g"}));
}

// ---- the server's end in good order

TEST(Drain, IdleServerEndsAtOnce) {
  ServerProcess server;
  RawClient idle(server.port());
  RawClient greeted(server.port());
  greeted.send_frame(R"({"msg_type":"hello","version":1})");
  ASSERT_TRUE(greeted.recv_frame());
  EXPECT_EQ(server.stop(), 0);
  EXPECT_TRUE(greeted.sees_the_end());
}

TEST(Drain, WhatIsInFlightIsFinished) {
  ServerProcess server;
  RawClient client(server.port());
  client.send_frame(R"({"msg_type":"file","file_name":"slow"})");
  client.send_length(10);
  client.send("01234");
  ASSERT_TRUE(eventually([&] {
    RawClient probe(server.port());
    return probe.send_frame("close");
  }));
  std::this_thread::sleep_for(100ms);  // let the server see the first half
  server.process().signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return server.process().err().find("stopping") != std::string::npos; }));
  client.send("56789");
  EXPECT_EQ(server.process().wait(), 0) << server.process().err();
  EXPECT_EQ(read_file(server.file("slow")), "0123456789");
}

TEST(Drain, WhatTakesTooLongIsCutAndNamed) {
  ServerProcess server({"--drain-timeout", "200ms"});
  RawClient client(server.port());
  client.send_frame(R"({"msg_type":"file","file_name":"slow"})");
  client.send_length(5'000'000);
  client.send(noise(2'000'000));
  ASSERT_TRUE(eventually([&] { return server.process().is_running(); }));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(server.stop(), 1);
  EXPECT_NE(server.process().err().find("cut: upload of \"slow\""), std::string::npos)
      << server.process().err();
  EXPECT_EQ(files_in(server.folder()), std::vector<std::string>());
}

TEST(Drain, SecondSignalEndsItAtOnce) {
  ServerProcess server({"--drain-timeout", "1h"});
  RawClient client(server.port());
  client.send_frame(R"({"msg_type":"file","file_name":"slow"})");
  client.send_length(5'000'000);
  client.send("x");
  std::this_thread::sleep_for(100ms);
  server.process().signal(SIGINT);
  ASSERT_TRUE(eventually([&] { return server.process().err().find("stopping") != std::string::npos; }));
  server.process().signal(SIGINT);
  EXPECT_EQ(server.process().wait(), 1);
  EXPECT_NE(server.process().err().find("slow"), std::string::npos);
}

TEST(Drain, ClientComesBackToTheNextServer) {
  TempFolder store;
  TempFolder sources;
  for (int i = 0; i < 3000; ++i)
    write_file(sources / ("t/f" + std::to_string(i)), noise(4000, static_cast<unsigned>(i)));
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{"-q"}, store.path().string());
  const int port = server->port();
  Process client(weft({"send", "-q", sources / "t", server->address()}));
  ASSERT_TRUE(eventually([&] { return fs::exists(store / "t") || !client.is_running(); }));
  EXPECT_EQ(server->stop(), 0);
  server.emplace(std::vector<std::string>{"-q"}, store.path().string(), port);
  EXPECT_EQ(client.wait(), 0) << client.err();
  EXPECT_EQ(files_in(store / "t").size(), 3000u);
}

}  // namespace
}  // namespace weft::app::test
