// File systems that do not know O_TMPFILE, such as FAT and many network ones: a server, and a client, that the kernel refuses it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

#include "app/fixture.hpp"

namespace weft::app::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kUnnamed = O_TMPFILE & ~O_DIRECTORY;

// From now on, openat(2) with O_TMPFILE fails as it does where the file system lacks it.
void forbid_unnamed_files() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),  // the lower half: little-endian
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kUnnamed, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(code), code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ||
      ::open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) >= 0) {
    ::_exit(126);
  }
}

Process::Options on_an_old_file_system() {
  Process::Options options;
  options.prepare = forbid_unnamed_files;
  return options;
}

class OldFileSystem : public ::testing::Test {
 protected:
  TempFolder files;
  ServerProcess server{{}, {}, 0, on_an_old_file_system()};

  void expect_no_leftovers() { EXPECT_TRUE(eventually([&] { return fs::is_empty(server.file(".weft-part")); })); }
  bool is_being_written() { return !fs::is_empty(server.file(".weft-part")); }
};

TEST_F(OldFileSystem, FilesOfAllSizesArrive) {
  write_file(files / "t/empty", "");
  write_file(files / "t/big", noise(5'000'000));
  for (int i = 0; i < 40; ++i) write_file(files / ("t/small" + std::to_string(i)), noise(2000, 1u + i));
  const Result sent = run(weft({"send", files / "t", server.address()}));
  EXPECT_EQ(sent.code, 0) << sent.err;
  EXPECT_EQ(files_in(server.folder()), files_in(files.path()));
  for (const std::string& name : files_in(files.path())) EXPECT_TRUE(same_bytes(read_file(server.file(name)), read_file(files / name))) << name;
  expect_no_leftovers();
}

TEST_F(OldFileSystem, NamesThatAreTakenAreTreatedAsAsked) {
  write_file(files / "a", "new");
  write_file(server.file("a"), "old");
  const Result refused = run(weft({"send", files / "a", server.address()}));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("exists"), std::string::npos) << refused.err;
  EXPECT_EQ(read_file(server.file("a")), "old");
  EXPECT_EQ(run(weft({"send", "--rename", files / "a", server.address()})).code, 0);
  EXPECT_EQ(read_file(server.file("a")), "old");
  EXPECT_EQ(read_file(server.file("a.1")), "new");
  EXPECT_EQ(run(weft({"send", "--overwrite", files / "a", server.address()})).code, 0);
  EXPECT_EQ(read_file(server.file("a")), "new");
  expect_no_leftovers();
}

TEST_F(OldFileSystem, AnInterruptedFileOfTheBaseProtocolLeavesNothing) {
  {
    RawClient client(server.port());
    client.send_frame(R"({"msg_type":"file","file_name":"half"})");
    client.send_length(5'000'000);  // a small one is kept in memory until it is there
    client.send("a beginning");
    EXPECT_TRUE(eventually([&] { return is_being_written(); }));
    EXPECT_EQ(files_in(server.folder()).size(), 0u);
  }
  expect_no_leftovers();
  EXPECT_EQ(files_in(server.folder()).size(), 0u);
}

TEST_F(OldFileSystem, WhatAKilledServerLeftIsNotInTheWayOfTheNextWithItsNumber) {
  const std::string number = std::to_string(server.process().pid());
  for (int i = 0; i < 3; ++i) write_file(server.file(".weft-part/.weft-tmp-" + number + "-" + std::to_string(i)), "old");
  for (const char* name : {"a", "b"}) {
    write_file(files / name, name);
    const Result sent = run(weft({"send", files / name, server.address()}));
    EXPECT_EQ(sent.code, 0) << sent.err;
    EXPECT_EQ(read_file(server.file(name)), name);
  }
}

TEST_F(OldFileSystem, DownloadsArriveThereToo) {
  write_file(server.file("big"), noise(5'000'000));
  write_file(server.file("small"), "small");
  const Result got = run(weft({"get", server.at("big"), server.at("small"), files.path().string()}), on_an_old_file_system());
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_TRUE(same_bytes(read_file(files / "big"), noise(5'000'000)));
  EXPECT_EQ(read_file(files / "small"), "small");
  EXPECT_EQ(std::distance(fs::directory_iterator(files.path()), {}), 2);
}

}  // namespace
}  // namespace weft::app::test
