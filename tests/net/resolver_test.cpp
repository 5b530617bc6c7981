#include <weft/net/resolver.hpp>

#include <netdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "net/contexts.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

class ResolverTest : public test::ContextTest {};
WEFT_INSTANTIATE_CONTEXTS(ResolverTest);

bool holds(const std::vector<Address>& addresses, const std::string& text) {
  return std::find(addresses.begin(), addresses.end(), Address::parse(text)) != addresses.end();
}

TEST_P(ResolverTest, AnswersNumbersAtOnce) {
  run([] {
    // Even with no time left: no helper is asked.
    const ResolveOptions at_once{.deadline = Deadline::already()};
    EXPECT_EQ(getaddrinfo("127.0.0.1", 80, at_once), std::vector{Address::parse("127.0.0.1:80")});
    EXPECT_EQ(getaddrinfo("::1", "80", at_once), std::vector{Address::parse("[::1]:80")});
    EXPECT_TRUE(holds(getaddrinfo("", 80, at_once), "127.0.0.1:80"));
    EXPECT_TRUE(holds(getaddrinfo("", 80, {.passive = true}), "0.0.0.0:80"));
    EXPECT_TRUE(holds(getaddrinfo("", 80, {.passive = true}), "[::]:80"));
  });
}

TEST_P(ResolverTest, LooksNamesUp) {
  run([] {
    const auto addresses = getaddrinfo("localhost", 80, {.deadline = Deadline::after(test::kPatience)});
    EXPECT_TRUE(holds(addresses, "127.0.0.1:80") || holds(addresses, "[::1]:80"));
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      EXPECT_EQ(std::count(addresses.begin(), addresses.end(), addresses[i]), 1);
    }
    EXPECT_EQ(getaddrinfo("127.0.0.1", "http"), std::vector{Address::parse("127.0.0.1:80")});
  });
}

TEST_P(ResolverTest, HonoursTheFamily) {
  run([] {
    for (const Address& address : getaddrinfo("localhost", 1, {.family = Family::Ipv4})) {
      EXPECT_EQ(address.family(), Family::Ipv4);
    }
    EXPECT_EQ(getaddrinfo("", 1, {.family = Family::Ipv6}), std::vector{Address::parse("[::1]:1")});
    EXPECT_THROW((void)getaddrinfo("127.0.0.1", 1, {.family = Family::Ipv6}), ResolveError);
  });
}

TEST_P(ResolverTest, SaysWhatCouldNotBeResolvedAndWhy) {
  run([] {
    try {
      (void)getaddrinfo("127.0.0.1", "no-such-service");
      ADD_FAILURE();
    } catch (const ResolveError& error) {
      EXPECT_EQ(error.code(), EAI_SERVICE);
      EXPECT_STREQ(error.what(), "resolve 127.0.0.1:no-such-service: Servname not supported for ai_socktype");
    }
    EXPECT_THROW((void)getaddrinfo(std::string("local\0host", 10), 1), ResolveError);
    EXPECT_THROW((void)getaddrinfo(std::string(70000, 'x'), 1), ResolveError);
  });
}

TEST_P(ResolverTest, GivesUpAtTheDeadlineAndLeavesTheHelperAlone) {
  run([] {
    for (int i = 0; i < 20; ++i) {
      try {
        (void)getaddrinfo("localhost", 80, {.deadline = Deadline::already()});
      } catch (const TimeoutError& error) {
        EXPECT_STREQ(error.what(), "resolve localhost:80: timed out");
      }
    }
    EXPECT_FALSE(getaddrinfo("localhost", 80).empty());
  });
}

TEST_P(ResolverTest, AnswersManyAtOnce) {
  run([] {
    std::vector<std::unique_ptr<test::Task>> tasks;
    std::atomic<int> answered{0};
    for (int i = 0; i < 50; ++i) {
      tasks.push_back(std::make_unique<test::Task>(GetParam(), [&] {
        if (!getaddrinfo("localhost", 80).empty()) ++answered;
      }));
    }
    for (auto& task : tasks) task->join();
    EXPECT_EQ(answered, 50);
  });
}

TEST(Resolver, WorksInAForkedChildThatHasNoneOfTheHelpers) {
  ASSERT_FALSE(getaddrinfo("localhost", 80).empty());
  const pid_t child = ::fork();
  if (child == 0) {
    const bool works = !getaddrinfo("localhost", 80, {.deadline = Deadline::after(test::kPatience)}).empty();
    ::_exit(works ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace weft
