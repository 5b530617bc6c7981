#include <weft/process/listener.hpp>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/net/server_socket.hpp>
#include <weft/process/pickle.hpp>
#include <weft/process/wait.hpp>

#include "process/transports.hpp"
#include "support/fork.hpp"
#include "support/paths.hpp"

namespace weft::test {
namespace {

using namespace std::string_literals;
using process::Client;
using process::Connection;
using process::Listener;
using process::ListenerAddress;

Deadline soon() {
  return Deadline::after(30ms);
}

bool exists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

// A directory of its own, removed with what is in it at the top.
class Folder {
 public:
  Folder() {
    if (!::mkdtemp(path_.data())) throw OSError{errno, "make a directory", path_};
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { ::rmdir(path_.c_str()); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_ = "/tmp/weft-listener-XXXXXX";
};

std::string unique_name() {
  static int count = 0;
  return "weft-listener-" + std::to_string(::getpid()) + '-' + std::to_string(++count);
}

class ListenerTest : public ContextTest {
 protected:
  /// Listens as somebody who is no Listener: `say` is all that a client hears.
  template <class Body>
  static void against_a_stranger(const std::string& say, Body body) {
    Socket stranger = create_server(Address::ipv4("127.0.0.1", 0));
    const Address where = stranger.local_address();
    Task client = start([&] { body(where); });
    Socket accepted = stranger.accept(patiently());
    accepted.send_all(say);
    client.join();
  }
};
WEFT_INSTANTIATE_CONTEXTS(ListenerTest);

const std::string kKey = "a key of the tests";

TEST_P(ListenerTest, ConnectsOverEveryKindOfAddress) {
  run([] {
    const Folder folder;
    for (const ListenerAddress& address :
         {ListenerAddress{"127.0.0.1", 0}, ListenerAddress{"localhost", 0}, ListenerAddress{folder / "path"},
          ListenerAddress{'\0' + unique_name()}, ListenerAddress{Address::ipv4("127.0.0.1", 0)}}) {
      for (const std::optional<std::string>& key :
           {std::optional<std::string>{}, std::optional<std::string>{kKey}}) {
        Listener listener{address, {.authkey = key}};
        Task caller = start([&] {
          Client client{listener.address(), {.authkey = key}};
          client.send_bytes("from the client", patiently());
          EXPECT_EQ(client.recv_bytes(patiently()), "from the listener");
        });
        Connection accepted = listener.accept(patiently());
        EXPECT_EQ(accepted.recv_bytes(patiently()), "from the client");
        accepted.send_bytes("from the listener", patiently());
        caller.join();
        ASSERT_TRUE(listener.last_accepted().has_value());
        EXPECT_EQ(listener.last_accepted()->family(), listener.address().family());
      }
    }
  });
}

TEST_P(ListenerTest, OfNoAddressHasAPathThatOnlyItsUserCanReach) {
  run([] {
    Listener listener;
    const std::string path = listener.address().path();
    struct stat status;
    ASSERT_EQ(::stat(path.substr(0, path.rfind('/')).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    Task caller = start([&] { Client{listener.address()}.send_bytes("found", patiently()); });
    EXPECT_EQ(listener.accept(patiently()).recv_bytes(patiently()), "found");
    caller.join();
    listener.close();
    EXPECT_FALSE(exists(path.substr(0, path.rfind('/'))));
  });
}

TEST_P(ListenerTest, BothSidesLearnOfAWrongKey) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey}};
    Task caller = start([&] {
      EXPECT_THROW((Client{listener.address(), {.authkey = "another"}}), AuthenticationError);
    });
    EXPECT_THROW((void)listener.accept(patiently()), AuthenticationError);
    caller.join();
    // It goes on.
    Task friendly = start([&] {
      Client{listener.address(), {.authkey = kKey}}.send_bytes("known", patiently());
    });
    EXPECT_EQ(listener.accept(patiently()).recv_bytes(patiently()), "known");
    friendly.join();
  });
}

TEST_P(ListenerTest, ASilentClientHoldsUpNobody) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey, .handshake_timeout = 100s}};
    std::vector<Socket> silent;
    for (int i = 0; i < 5; ++i) {
      silent.push_back(Socket::tcp());
      silent.back().connect(listener.address());
    }
    Task caller = start([&] {
      Client{listener.address(), {.authkey = kKey}}.send_bytes("I know it", patiently());
    });
    EXPECT_EQ(listener.accept(patiently()).recv_bytes(patiently()), "I know it");
    caller.join();
  });
}

TEST_P(ListenerTest, DropsAClientThatStaysSilentTooLong) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey, .handshake_timeout = 10ms}};
    Socket silent = Socket::tcp();
    silent.connect(listener.address());
    EXPECT_THROW((void)listener.accept(Deadline::after(100ms)), TimeoutError);
    // Its challenge, then the end.
    (void)silent.recv_exactly(4 + 11 + 48, patiently());
    EXPECT_EQ(silent.recv(1, patiently()), "");
  });
}

TEST_P(ListenerTest, PassesOverAClientThatGoesAway) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey}};
    {
      Socket gone = Socket::tcp();
      gone.connect(listener.address());
    }
    Task caller = start([&] {
      Client{listener.address(), {.authkey = kKey}}.send_bytes("here", patiently());
    });
    EXPECT_EQ(listener.accept(patiently()).recv_bytes(patiently()), "here");
    caller.join();
  });
}

TEST_P(ListenerTest, RefusesAClientThatSpeaksAnotherProtocol) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey}};
    Socket stranger = Socket::tcp();
    stranger.connect(listener.address());
    stranger.send_all("GET / HTTP/1.0\r\n\r\n");
    EXPECT_THROW((void)listener.accept(patiently()), AuthenticationError);
  });
}

TEST_P(ListenerTest, AcceptWaitsNoLongerThanItsDeadlineAndClosingEndsIt) {
  run([] {
    for (const std::optional<std::string>& key :
         {std::optional<std::string>{}, std::optional<std::string>{kKey}}) {
      Listener listener{{"127.0.0.1", 0}, {.authkey = key}};
      EXPECT_TRUE(process::wait({listener}, 5ms).empty());
      EXPECT_THROW((void)listener.accept(soon()), TimeoutError);
      Task waiting = start([&] {
        try {
          (void)listener.accept();
          ADD_FAILURE() << "somebody came";
        } catch (const OSError& error) {
          EXPECT_EQ(error.errno_value(), EBADF) << error.what();
        }
      });
      EXPECT_FALSE(waiting.is_done_within(10ms));
      listener.close();
      waiting.join();
      EXPECT_EQ(listener.fileno(), -1);
    }
  });
}

TEST_P(ListenerTest, AClientGivesUpOnAListenerThatNeverAccepts) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey}};
    EXPECT_THROW((Client{listener.address(), {.authkey = kKey, .timeout = 20ms}}), TimeoutError);
  });
}

TEST_P(ListenerTest, AClientGivesUpOnAPeerThatFallsSilentInTheMiddle) {
  run([] {
    const std::string challenge = "\0\0\0\x3b#CHALLENGE#{sha256}"s + std::string(40, 'r');
    for (const std::size_t said : {std::size_t{2}, std::size_t{20}, challenge.size()}) {
      against_a_stranger(challenge.substr(0, said), [](const Address& where) {
        EXPECT_THROW((Client{where, {.authkey = kKey, .timeout = 30ms}}), TimeoutError);
      });
    }
  });
}

TEST_P(ListenerTest, AClientRefusesAPeerThatSpeaksAnotherProtocol) {
  run([] {
    for (const std::string& said : {"SSH-2.0-OpenSSH_9.2\r\n"s, "\0\0\0\5hello"s, "\xff\xff\xff\xff\0\0\0\1\0\0\0\0"s, "\0\0\0\0"s,
                                    "\0\0\0\x13#CHALLENGE#{md9}abc"s, "\xff\xff\xff\xfe"s}) {
      against_a_stranger(said, [](const Address& where) {
        EXPECT_THROW((Client{where, {.authkey = kKey, .timeout = std::chrono::seconds{20}}}), AuthenticationError);
      });
    }
  });
}

TEST_P(ListenerTest, DropsAClientThatFallsSilentInTheMiddle) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey, .handshake_timeout = 20ms}};
    Socket silent = Socket::tcp();
    silent.connect(listener.address());
    silent.send_all("\0\0\0\x28{sha256}half"s);
    EXPECT_THROW((void)listener.accept(Deadline::after(200ms)), TimeoutError);
    (void)silent.recv_exactly(4 + 11 + 48, patiently());
    EXPECT_EQ(silent.recv(1, patiently()), "");
  });
}

TEST_P(ListenerTest, SurvivesGarbageOfAnyKind) {
  run([] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey}};
    int refused = 0;
    for (const std::string& said : {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s, "\0\0\0\0"s, "\0\0\0\3abc"s, std::string(70'000, '\0'),
                                    "\0\0\0\x08{sha256}"s, "\0\0\0\5{md9}"s}) {
      Socket stranger = Socket::tcp();
      stranger.connect(listener.address());
      stranger.send_all(said);
      try {
        (void)listener.accept(patiently());
        ADD_FAILURE() << "taken for somebody who knows the key";
      } catch (const AuthenticationError&) {
        ++refused;
      }
    }
    EXPECT_EQ(refused, 6);
    Task friendly = start([&] { Client{listener.address(), {.authkey = kKey}}.send_bytes("known", patiently()); });
    EXPECT_EQ(listener.accept(patiently()).recv_bytes(patiently()), "known");
    friendly.join();
  });
}

TEST(Listener, RemovesItsPathButNotInAForkedChild) {
  const Folder folder;
  const std::string path = folder / "path";
  {
    Listener listener{path};
    EXPECT_TRUE(exists(path));
    EXPECT_THROW(Listener{path}, OSError);
    EXPECT_TRUE(exists(path));
    const pid_t child = weft::test::forked();
    if (child == 0) {
      listener.close();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(exists(path));
  }
  EXPECT_FALSE(exists(path));
}

TEST(Listener, NeedsAKeyThatIsOne) {
  EXPECT_THROW((Listener{{"127.0.0.1", 0}, {.authkey = ""}}), std::invalid_argument);
}

TEST(ClientTest, SaysThatNobodyListens) {
  try {
    Client client{'\0' + unique_name()};
    ADD_FAILURE() << "somebody listens";
  } catch (const OSError& error) {
    EXPECT_EQ(error.errno_value(), ECONNREFUSED);
  }
}

// ---- CPython on the other side
// ---------------------------------------------------------------------------------------

/// tests/process/python/peer.py, run by WEFT_TEST_PYTHON, or by the python3 of the system. `dialect`: "own" (which is md5 up to Python
/// 3.11), "md5" or "sha256".
class PythonPeer {
 public:
  PythonPeer(const std::string& role, const std::string& address, const std::string& key, const char* dialect = "own") {
    const std::string script = source_dir() + "/tests/process/python/peer.py";
    const char* const chosen = ::getenv("WEFT_TEST_PYTHON");
    const std::string python = chosen                                    ? chosen
                               : ::access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3"
                                                                         : "python3";
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) throw OSError{errno, "make a pipe"};
    output_ = OwnedFd{fds[0]};
    const OwnedFd its_end{fds[1]};
    child_ = weft::test::forked();
    if (child_ == 0) {
      ::dup2(its_end.get(), STDOUT_FILENO);
      ::execlp(python.c_str(), python.c_str(), script.c_str(), role.c_str(), address.c_str(), key.c_str(),
               dialect, nullptr);
      ::_exit(127);
    }
  }
  PythonPeer(const PythonPeer&) = delete;
  PythonPeer& operator=(const PythonPeer&) = delete;
  ~PythonPeer() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    (void)status();
  }

  [[nodiscard]] std::string line() const {
    std::string text;
    for (char c = 0; ::read(output_.get(), &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  [[nodiscard]] int status() {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  OwnedFd output_;
  pid_t child_ = -1;
};

bool there_is_python() {
  return ::system("python3 -c '' 2>/dev/null || /usr/bin/python3 -c '' 2>/dev/null") == 0;
}

/// A key or none, and how it is shown.
struct Secret {
  std::optional<std::string> key;
  const char* dialect;
};
const Secret kSecrets[] = {{std::nullopt, "own"}, {kKey, "own"}, {kKey, "md5"}, {kKey, "sha256"}};

std::string hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// Our half of peer.py's talk().
void talk_to_python(Connection connection) {
  EXPECT_EQ(connection.recv_bytes(patiently()), "hello");
  connection.send_bytes("hello back", patiently());
  for (int i = 0; i < 5; ++i) connection.send_bytes(connection.recv_bytes(patiently()), patiently());
  for (;;) {
    const process::PyValue value = process::recv_python(connection, patiently());
    if (value == process::PyValue{"done"}) return;
    process::send_python(connection, value, patiently());
  }
}

struct Place {
  const char* name;
  std::string for_python;
  ListenerAddress address;
};

std::vector<Place> places(const Folder& folder) {
  const std::string name = unique_name();
  return {{"Tcp", "127.0.0.1:0", {"127.0.0.1", 0}},
          {"Path", folder / "path", folder / "path"},
          {"Abstract", '@' + name, '\0' + name}};
}

class WithPython : public testing::Test {
 protected:
  void SetUp() override {
    if (!there_is_python()) GTEST_SKIP() << "there is no python3";
  }
};

TEST_F(WithPython, ItsClientTalksToOurListener) {
  const Folder folder;
  for (const Place& place : places(folder)) {
    for (const auto& [key, dialect] : kSecrets) {
      SCOPED_TRACE(place.name + (key ? " with a key, dialect "s + dialect : " without"s));
      Listener listener{place.address, {.authkey = key}};
      const Address& where = listener.address();
      PythonPeer peer{"client", where.is_unix() ? place.for_python : where.to_string(),
                      key ? hex(*key) : "none", dialect};
      talk_to_python(listener.accept(patiently()));
      EXPECT_EQ(peer.status(), 0);
    }
  }
}

TEST_F(WithPython, OurClientTalksToItsListener) {
  const Folder folder;
  for (const Place& place : places(folder)) {
    for (const auto& [key, dialect] : kSecrets) {
      SCOPED_TRACE(place.name + (key ? " with a key, dialect "s + dialect : " without"s));
      PythonPeer peer{"listener", place.for_python, key ? hex(*key) : "none", dialect};
      const std::string line = peer.line();
      ASSERT_NE(line, "");
      const Address address =
          place.address.address().is_unix() ? place.address.address() : Address::parse(line);
      talk_to_python(Client{address, {.authkey = key}});
      EXPECT_EQ(peer.status(), 0);
    }
  }
}

TEST_F(WithPython, ItsClientIsRefusedForAWrongKey) {
  for (const char* const dialect : {"own", "md5", "sha256"}) {
    SCOPED_TRACE(dialect);
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey}};
    PythonPeer peer{"client", listener.address().to_string(), hex("another key"), dialect};
    EXPECT_THROW((void)listener.accept(patiently()), AuthenticationError);
    EXPECT_EQ(peer.status(), 3);
  }
}

TEST_F(WithPython, ItsListenerRefusesUsForAWrongKey) {
  for (const char* const dialect : {"own", "md5", "sha256"}) {
    SCOPED_TRACE(dialect);
    PythonPeer peer{"listener", "127.0.0.1:0", hex("another key"), dialect};
    const Address address = Address::parse(peer.line());
    EXPECT_THROW((Client{address, {.authkey = kKey}}), AuthenticationError);
    EXPECT_EQ(peer.status(), 3);
  }
}

TEST_F(WithPython, TheOldDialectCanBeRefused) {
  {
    Listener listener{{"127.0.0.1", 0}, {.authkey = kKey, .require_sha2 = true}};
    PythonPeer peer{"client", listener.address().to_string(), hex(kKey), "md5"};
    EXPECT_THROW((void)listener.accept(patiently()), AuthenticationError);
    EXPECT_EQ(peer.status(), 3);
  }
  Listener listener{{"127.0.0.1", 0}, {.authkey = kKey, .require_sha2 = true}};
  PythonPeer peer{"client", listener.address().to_string(), hex(kKey), "sha256"};
  talk_to_python(listener.accept(patiently()));
  EXPECT_EQ(peer.status(), 0);
}

}  // namespace
}  // namespace weft::test
