// What is on the disk: names resolved beneath the root, files whole or absent, unfinished uploads checked.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "app/fixture.hpp"
#include "store/batch.hpp"
#include "store/part_file.hpp"
#include "store/publish.hpp"
#include "store/root.hpp"

namespace weft::app {
namespace {

namespace fs = std::filesystem;
using namespace test;

template <class Call>
Code code_of(Call call) {
  try {
    call();
  } catch (const Refusal& refusal) {
    return refusal.code();
  }
  ADD_FAILURE() << "nothing was refused";
  return Code::Io;
}

class StoreTest : public ::testing::Test {
 protected:
  TempFolder outside;
  TempFolder folder;
  Root root = Root::open(folder.path().string());

  std::string store(const std::string& name, const std::string& body, Policy policy) {
    SmallFile file;
    file.name = name;
    file.policy = policy;
    file.body = body;
    const auto results = store_batch(root, std::span(&file, 1), Fsync::None);
    if (results[0].failed) throw Refusal(*results[0].failed);
    return results[0].name;
  }
};

TEST_F(StoreTest, MissingFolderIsMade) {
  const std::string path = folder / "new";
  (void)Root::open(path);
  EXPECT_TRUE(fs::is_directory(path));
}

TEST_F(StoreTest, PlantedLinksAreNotFollowed) {
  write_file(outside / "secret", "secret");
  fs::create_symlink(outside.path(), folder / "link");
  fs::create_symlink(outside / "secret", folder / "file_link");
  fs::create_symlink(".", folder / "self");
  EXPECT_EQ(code_of([&] { (void)root.open_file("link/secret"); }), Code::BadName);
  EXPECT_EQ(code_of([&] { (void)root.open_file("file_link"); }), Code::BadName);
  EXPECT_EQ(code_of([&] { (void)root.open_folder("self"); }), Code::BadName);
  EXPECT_EQ(code_of([&] { (void)store("link/new", "x", Policy::Refuse); }), Code::BadName);
  EXPECT_EQ(code_of([&] { (void)root.make_folder("link/new", Fsync::None); }), Code::BadName);
  EXPECT_FALSE(fs::exists(outside / "new"));
}

TEST_F(StoreTest, LinkInThePlaceOfAFileIsNeverWrittenThrough) {
  write_file(outside / "secret", "secret");
  fs::create_symlink(outside / "secret", folder / "f");
  fs::create_symlink(outside / "missing", folder / "dangling");
  EXPECT_NE(code_of([&] { (void)store("f", "x", Policy::Refuse); }), Code::Io);
  EXPECT_EQ(code_of([&] { (void)store("f", "x", Policy::Overwrite); }), Code::NotAFile);
  EXPECT_EQ(store("f", "x", Policy::Rename), "f.1");
  EXPECT_EQ(store("dangling", "x", Policy::Rename), "dangling.1");
  EXPECT_EQ(read_file(outside / "secret"), "secret");
  EXPECT_FALSE(fs::exists(outside / "missing"));
}

TEST_F(StoreTest, PipesAreNeitherReadNorReplaced) {
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { (void)root.open_file("pipe"); }), Code::NotAFile);
  EXPECT_EQ(code_of([&] { (void)store("pipe", "x", Policy::Overwrite); }), Code::NotAFile);
  EXPECT_EQ(store("pipe", "x", Policy::Rename), "pipe.1");
  EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
}

TEST_F(StoreTest, PrivateFolderCannotBeReached) {
  EXPECT_EQ(code_of([&] { (void)root.open_folder(".weft-part"); }), Code::BadName);
  EXPECT_EQ(code_of([&] { (void)store(".weft-part/x", "x", Policy::Refuse); }), Code::BadName);
}

TEST_F(StoreTest, PrivateFolderThatIsALinkIsNotUsed) {
  TempFolder other;
  fs::create_symlink(outside.path(), other / ".weft-part");
  EXPECT_THROW((void)Root::open(other.path().string()), std::system_error);
}

TEST_F(StoreTest, ErrorsNameTheFileAndNotTheRoot) {
  try {
    (void)root.open_file("no/such");
    FAIL();
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.code(), Code::NotFound);
    EXPECT_NE(std::string(refusal.what()).find("no/such"), std::string::npos);
    EXPECT_EQ(std::string(refusal.what()).find(folder.path().string()), std::string::npos);
  }
}

TEST_F(StoreTest, FoldersAreMadeAndFilesInTheWayNamed) {
  EXPECT_EQ(store("a/b/c", "x", Policy::Refuse), "a/b/c");
  EXPECT_EQ(read_file(folder / "a/b/c"), "x");
  EXPECT_EQ(code_of([&] { (void)store("a/b/c/d", "x", Policy::Refuse); }), Code::NotAFolder);
  EXPECT_EQ(code_of([&] { (void)store("a/b", "x", Policy::Refuse); }), Code::IsFolder);
  EXPECT_EQ(code_of([&] { (void)store("a/b", "x", Policy::Overwrite); }), Code::IsFolder);
}

TEST_F(StoreTest, PoliciesDecideWhenANameIsTaken) {
  EXPECT_EQ(store("f", "one", Policy::Refuse), "f");
  EXPECT_EQ(code_of([&] { (void)store("f", "two", Policy::Refuse); }), Code::Exists);
  EXPECT_EQ(read_file(folder / "f"), "one");
  EXPECT_EQ(store("f", "two", Policy::Rename), "f.1");
  EXPECT_EQ(store("f", "three", Policy::Rename), "f.2");
  EXPECT_EQ(store("f", "four", Policy::Overwrite), "f");
  EXPECT_EQ(read_file(folder / "f"), "four");
  EXPECT_EQ(read_file(folder / "f.1"), "two");
  EXPECT_EQ(files_in(folder.path()), (std::vector<std::string>{"f", "f.1", "f.2"}));
}

TEST_F(StoreTest, LongestNameCanStillBeNumbered) {
  const std::string name(255, 'n');
  EXPECT_EQ(store(name, "one", Policy::Rename), name);
  EXPECT_EQ(store(name, "two", Policy::Rename), std::string(253, 'n') + ".1");
}

TEST_F(StoreTest, TimesAndModesAreKept) {
  SmallFile file;
  file.name = "f";
  file.facts = {1'000'000'000'123'456'789, 0755};
  ASSERT_FALSE(store_batch(root, std::span(&file, 1), Fsync::Full)[0].failed);
  struct stat info {};
  ASSERT_EQ(::stat((folder / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 1'000'000'000);
  EXPECT_EQ(info.st_mtim.tv_nsec, 123'456'789);
  EXPECT_EQ(info.st_mode & 0777, 0755 & ~root.umask());
  file.name = "before_1970";
  file.facts.mtime_ns = -1;
  ASSERT_FALSE(store_batch(root, std::span(&file, 1), Fsync::None)[0].failed);
  ASSERT_EQ(::stat((folder / "before_1970").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, -1);
  EXPECT_EQ(info.st_mtim.tv_nsec, 999'999'999);
}

TEST_F(StoreTest, EachFileOfABatchFailsByItself) {
  for (const Fsync fsync : {Fsync::None, Fsync::File}) {
    const std::string mark = fsync == Fsync::None ? "n" : "f";
    std::vector<SmallFile> files(5);
    files[0].name = mark + "good";
    files[1].name = "../bad";
    files[2].name = mark + "good";  // taken by then
    files[3].name = mark + "damaged";
    files[3].has_checks = true;
    files[3].body = "x";
    files[3].sum = 1;
    files[4].name = mark + "folder/good";
    const auto results = store_batch(root, files, fsync);
    EXPECT_FALSE(results[0].failed);
    EXPECT_EQ(results[1].failed->code(), Code::BadName);
    EXPECT_EQ(results[2].failed->code(), Code::Exists);
    EXPECT_EQ(results[3].failed->code(), Code::Corrupt);
    EXPECT_FALSE(results[4].failed);
    EXPECT_FALSE(fs::exists(folder / (mark + "damaged")));
  }
}

TEST_F(StoreTest, ManyWritersOfOneNameAllKeepTheirFiles) {
  constexpr int kWriters = 8;
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back(
        [&, i] { (void)store("same", std::string(1000, static_cast<char>('a' + i)), Policy::Rename); });
  }
  for (std::thread& writer : writers) writer.join();
  std::string seen;
  for (const std::string& name : files_in(folder.path())) {
    const std::string content = read_file(folder / name);
    EXPECT_EQ(content, std::string(1000, content[0]));
    seen += content[0];
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, "abcdefgh");
}

// ---- unfinished uploads

class PartFileTest : public StoreTest {
 protected:
  std::string content = noise(3 * kChunkBytes + 100);
  UploadIdentity identity{"big", content.size(), 5, true};

  std::span<const std::byte> chunk(std::size_t i) const {
    return std::as_bytes(std::span(content))
        .subspan(i * kChunkBytes, std::min(kChunkBytes, content.size() - i * kChunkBytes));
  }
  std::string part_path() const { return folder / (".weft-part/" + identity.key()); }
  std::uint64_t verified(PartFile& part) {
    Sha256 whole;
    while (part.verify_some(whole, 2)) {
    }
    EXPECT_EQ(whole.hex(), Sha256::hex_of(std::string_view(content).substr(0, part.good_bytes())));
    return part.good_bytes();
  }
  void receive(std::size_t chunks) {
    PartFile part(root, identity, Fsync::File);
    for (std::size_t i = 0; i < chunks; ++i) part.append(chunk(i), xxh3(chunk(i)));
  }
};

TEST_F(PartFileTest, GoesOnWhereItStopped) {
  receive(2);
  PartFile part(root, identity, Fsync::None);
  ASSERT_EQ(verified(part), 2 * kChunkBytes);
  part.cut_to_good();
  part.append(chunk(2), xxh3(chunk(2)));
  part.append(chunk(3), xxh3(chunk(3)));
  const FileDescriptor target = root.open_folder("");
  EXPECT_EQ(part.publish(target.get(), "big", Policy::Refuse, {5, 0644}), "big");
  EXPECT_EQ(read_file(folder / "big"), content);
  EXPECT_TRUE(fs::is_empty(folder / ".weft-part"));
}

TEST_F(PartFileTest, CompleteButUnpublishedNeedsNothingMore) {
  receive(4);
  PartFile part(root, identity, Fsync::None);
  EXPECT_EQ(verified(part), content.size());
}

TEST_F(PartFileTest, TrustsNoByteThatIsNotWhatItWas) {
  receive(3);
  std::string bytes = read_file(part_path());
  bytes[kChunkBytes + 17] ^= 1;
  write_file(part_path(), bytes);
  PartFile part(root, identity, Fsync::None);
  EXPECT_EQ(verified(part), kChunkBytes);
}

TEST_F(PartFileTest, TornEndIsCutToAWholeChunk) {
  receive(2);
  fs::resize_file(part_path(), kChunkBytes + 1000);
  PartFile part(root, identity, Fsync::None);
  ASSERT_EQ(verified(part), kChunkBytes);
  part.cut_to_good();
  EXPECT_EQ(fs::file_size(part_path()), kChunkBytes);
}

TEST_F(PartFileTest, LostSumsMeanStartingOver) {
  receive(2);
  fs::resize_file(part_path() + ".sums", 0);
  PartFile part(root, identity, Fsync::None);
  EXPECT_EQ(verified(part), 0u);
}

TEST_F(PartFileTest, IsHeldByOneAtATime) {
  PartFile part(root, identity, Fsync::None);
  EXPECT_EQ(code_of([&] { PartFile second(root, identity, Fsync::None); }), Code::Busy);
}

TEST_F(PartFileTest, OtherIdentitiesHaveOtherFiles) {
  EXPECT_NE(identity.key(), (UploadIdentity{"big", content.size(), 6, true}.key()));
  EXPECT_NE(identity.key(), (UploadIdentity{"big", content.size() + 1, 5, true}.key()));
  EXPECT_NE(identity.key(), (UploadIdentity{"bigger", content.size(), 5, true}.key()));
}

TEST_F(PartFileTest, StaleOnesAreRemovedFreshOnesKept) {
  receive(1);
  EXPECT_EQ(remove_stale_parts(root, 3600), 0u);
  const timespec old[2] = {{0, UTIME_OMIT}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, part_path().c_str(), old, 0), 0);
  EXPECT_EQ(remove_stale_parts(root, 3600), 1u);
  EXPECT_FALSE(fs::exists(part_path()));
}

TEST_F(PartFileTest, WhatCannotFitIsRefusedBeforeItBegins) {
  EXPECT_EQ(code_of([&] { check_room(root, 1ull << 60, "x"); }), Code::NoSpace);
  EXPECT_NO_THROW(check_room(root, 1, "x"));
}

}  // namespace
}  // namespace weft::app
