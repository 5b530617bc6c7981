#include <gtest/gtest.h>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "process/connection/digest.hpp"
#include "process/connection/handshake.hpp"

namespace weft::test {
namespace {

using process::detail::Digest;
using process::detail::Handshake;
using Role = Handshake::Role;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

// What the captured conversations of CPython took for random: `first`, 1, 2, ...
std::string counted(unsigned char first, std::size_t count) {
  std::string bytes(1, static_cast<char>(first));
  for (std::size_t i = 1; i < count; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

const std::string kKey = "secret";
const std::string kServerRandom = counted(0xa1, 40), kClientRandom = counted(0xc0, 40);
const std::string kPrefixed = "{sha256}" + kServerRandom;  // 48 bytes
const std::string kBare = counted(0xa1, 20);

std::string mac(Digest digest, const std::string& message) {
  return hex(process::detail::hmac(digest, kKey, message));
}

TEST(Digest, AreWhatTheStandardsSay) {
  using process::detail::digest;
  EXPECT_EQ(hex(digest(Digest::Md5, "")), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(hex(digest(Digest::Md5, "message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(hex(digest(Digest::Sha256, "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(
      hex(digest(Digest::Sha384, "abc")),
      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
  EXPECT_EQ(hex(digest(Digest::Sha3_256, "abc")),
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
  EXPECT_EQ(
      hex(digest(Digest::Sha3_384, "abc")),
      "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25");
}

// Digests of digests: one wrong bit at any length around the ends of blocks changes all that follows.
std::string chained(Digest digest) {
  std::string state;
  for (std::size_t size = 0; size < 300; ++size) {
    state = process::detail::digest(digest, state + std::string(size, static_cast<char>(size)));
  }
  return hex(state);
}

TEST(Digest, AreRightAtEveryLength) {
  EXPECT_EQ(chained(Digest::Md5), "b12337f6567fb319681ea1baf53c2099");
  EXPECT_EQ(chained(Digest::Sha256), "60a21e2424bdfe317af7b48ea5c4fad2b542e2276f8aa48e3f06b33408e984dd");
  EXPECT_EQ(
      chained(Digest::Sha384),
      "a00fe98e930c0f61cdb41dc4ed8365948ffbabd4c72e5e01e87f3548b7f7bb25d4bb87b76439d92b90f8604ed99ede92");
  EXPECT_EQ(chained(Digest::Sha3_256), "2a76c7167693094346dae85a0cbfcec97e56b0a321ae3c5d07a5ca85bf3b5abd");
  EXPECT_EQ(
      chained(Digest::Sha3_384),
      "1025622ef0eb02288a252c7ddcf13856ca4d5473a477eb18e5ec626cddd8afc36db15389ef98460d32425a12b0be5c93");
}

TEST(Hmac, IsThatOfCPython) {
  EXPECT_EQ(mac(Digest::Md5, kBare), "3e1197a5a705cc7a1f75c7faef1bb6bc");
  EXPECT_EQ(mac(Digest::Md5, kPrefixed), "617a17da75ffcf08f7f356ea77922eff");
  EXPECT_EQ(mac(Digest::Sha256, kPrefixed),
            "a5a4b286ecb2e6e35e7d379abb415c3c02d671e7a30513b72ef2607f571d5f11");
  EXPECT_EQ(
      mac(Digest::Sha384, kPrefixed),
      "e2f0ae5dac45afc6f037e5d15499225598b5216c6f80d7f746bd9b5151468dffd9dbc1cee87f37b610932cadd48dad2d");
  EXPECT_EQ(mac(Digest::Sha3_256, kPrefixed),
            "325087b733d28d61e421ed63d977f77f6a56583ba5a598326609e1bac3ca5d7e");
  EXPECT_EQ(
      mac(Digest::Sha3_384, kPrefixed),
      "56e00eedcbca1043cf61434c6c04a9161d54edf67a60faa0faf7aaa4bc0d821af4aef4de15e384e7db31a149bb87df2c");
}

TEST(Hmac, TakesAKeyLongerThanABlockByItsDigest) {
  // RFC 4231, case 6.
  EXPECT_EQ(hex(process::detail::hmac(Digest::Sha256, std::string(131, '\xaa'),
                                      "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(EqualInConstantTime, TellsEqualFromDifferent) {
  using process::detail::equal_in_constant_time;
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("same", "same"));
  EXPECT_FALSE(equal_in_constant_time("same", "sama"));
  EXPECT_FALSE(equal_in_constant_time("same", "Same"));
  EXPECT_FALSE(equal_in_constant_time("same", "sam"));
}

Handshake listener(bool require_sha2 = false) {
  return Handshake{Role::Listener, kKey, require_sha2, kServerRandom};
}
Handshake client(bool require_sha2 = false) {
  return Handshake{Role::Client, kKey, require_sha2, kClientRandom};
}

TEST(Handshake, IsTheCapturedOneOfPython313) {
  Handshake ours = listener();
  EXPECT_EQ(hex(ours.begin()), "234348414c4c454e474523" + hex(kPrefixed));
  const std::string answer = "{sha256}" + process::detail::hmac(Digest::Sha256, kKey, kPrefixed);
  EXPECT_EQ(ours.take(answer), "#WELCOME#");
  EXPECT_EQ(hex(ours.take("#CHALLENGE#{sha256}" + kClientRandom)),
            "7b7368613235367d81a68323cc3242a0bcb9f7c69201c958a64f1e7b651db1a99f226cd94004e871");
  EXPECT_FALSE(ours.done());
  EXPECT_EQ(ours.take("#WELCOME#"), "");
  EXPECT_TRUE(ours.done());
  EXPECT_EQ(ours.failure(), "");
}

TEST(Handshake, OfAClientIsTheCapturedOneOfPython313) {
  Handshake ours = client();
  EXPECT_EQ(ours.begin(), "");
  EXPECT_EQ(hex(ours.take("#CHALLENGE#" + kPrefixed)),
            "7b7368613235367da5a4b286ecb2e6e35e7d379abb415c3c02d671e7a30513b72ef2607f571d5f11");
  EXPECT_EQ(ours.take("#WELCOME#"), "#CHALLENGE#{sha256}" + kClientRandom);
  EXPECT_EQ(ours.take("{sha256}" + process::detail::hmac(Digest::Sha256, kKey, "{sha256}" + kClientRandom)),
            "#WELCOME#");
  EXPECT_TRUE(ours.done());
  EXPECT_EQ(ours.failure(), "");
}

TEST(Handshake, SpeaksTheOldDialectWithAnOldClient) {
  Handshake ours = listener();
  (void)ours.begin();
  // Python 3.11 takes our 48 bytes for a challenge without a name.
  EXPECT_EQ(ours.take(process::detail::hmac(Digest::Md5, kKey, kPrefixed)), "#WELCOME#");
  EXPECT_EQ(hex(ours.take("#CHALLENGE#" + counted(0xc0, 20))), "88ab77abca05980bf05f8c15f8a42bb6");
  EXPECT_EQ(ours.take("#WELCOME#"), "");
  EXPECT_TRUE(ours.done());
  EXPECT_EQ(ours.failure(), "");
}

TEST(Handshake, SpeaksTheOldDialectWithAnOldListener) {
  Handshake ours = client();
  EXPECT_EQ(hex(ours.take("#CHALLENGE#" + kBare)), "3e1197a5a705cc7a1f75c7faef1bb6bc");
  EXPECT_EQ(ours.take("#WELCOME#"), "#CHALLENGE#{sha256}" + kClientRandom);
  const std::string answer = process::detail::hmac(Digest::Md5, kKey, "{sha256}" + kClientRandom);
  EXPECT_EQ(hex(answer), "50c9d6b3897953146e916b8c72fae106");
  EXPECT_EQ(ours.take(answer), "#WELCOME#");
  EXPECT_EQ(ours.failure(), "");
}

TEST(Handshake, AcceptsAnAnswerInAnyKnownDigestAndAnswersInTheOneAskedFor) {
  for (const Digest digest :
       {Digest::Md5, Digest::Sha256, Digest::Sha384, Digest::Sha3_256, Digest::Sha3_384}) {
    const std::string name = '{' + std::string{process::detail::name_of(digest)} + '}';
    Handshake ours = listener();
    (void)ours.begin();
    EXPECT_EQ(ours.take(name + process::detail::hmac(digest, kKey, kPrefixed)), "#WELCOME#") << name;
    const std::string challenge = name + std::string(40, 'r');
    EXPECT_EQ(ours.take("#CHALLENGE#" + challenge), name + process::detail::hmac(digest, kKey, challenge))
        << name;
  }
}

TEST(Handshake, RefusesAWrongKeyAndSaysSo) {
  Handshake ours = listener();
  (void)ours.begin();
  EXPECT_EQ(ours.take("{sha256}" + process::detail::hmac(Digest::Sha256, "another", kPrefixed)), "#FAILURE#");
  EXPECT_TRUE(ours.done());
  EXPECT_NE(ours.failure().find("its key is not ours"), std::string::npos) << ours.failure();

  Handshake refused = client();
  (void)refused.take("#CHALLENGE#" + kPrefixed);
  EXPECT_EQ(refused.take("#FAILURE#"), "");
  EXPECT_NE(refused.failure().find("refused our answer"), std::string::npos) << refused.failure();
}

TEST(Handshake, RefusesMd5WhereSha2IsRequired) {
  Handshake ours = listener(true);
  (void)ours.begin();
  EXPECT_EQ(ours.take(process::detail::hmac(Digest::Md5, kKey, kPrefixed)), "#FAILURE#");
  EXPECT_NE(ours.failure(), "");

  Handshake named = listener(true);
  (void)named.begin();
  EXPECT_EQ(named.take("{md5}" + process::detail::hmac(Digest::Md5, kKey, kPrefixed)), "#FAILURE#");

  Handshake theirs = client(true);
  EXPECT_EQ(theirs.take("#CHALLENGE#" + kBare), "");
  EXPECT_NE(theirs.failure().find("require_sha2"), std::string::npos) << theirs.failure();
}

TEST(Handshake, RefusesWhatIsNoAnswer) {
  for (const std::string& answer : {std::string{}, std::string{"{sha256}"}, std::string{"{"},
                                    std::string(256, '{'), std::string{"{sha1}"} + std::string(20, 'x'),
                                    std::string(15, 'x'), std::string(20, 'x'), std::string{"#WELCOME#"}}) {
    Handshake ours = listener();
    (void)ours.begin();
    EXPECT_EQ(ours.take(answer), "#FAILURE#") << answer;
    EXPECT_NE(ours.failure(), "") << answer;
  }
}

TEST(Handshake, RefusesWhatIsNoChallenge) {
  for (const std::string& challenge :
       {std::string{}, std::string{"#CHALLENGE#"}, "#CHALLENGE#" + std::string(19, 'x'),
        "#CHALLENGE#" + std::string(21, 'x'), "#CHALLENGE#{sha256" + std::string(40, 'x'),
        "#CHALLENGE#{whirlpool}" + std::string(40, 'x'), std::string{"#WELCOME#"}}) {
    Handshake ours = client();
    EXPECT_EQ(ours.take(challenge), "") << challenge;
    EXPECT_NE(ours.failure(), "") << challenge;
  }
}

TEST(Handshake, TwoOfOursUnderstandEachOther) {
  Handshake one{Role::Listener, kKey, true};
  Handshake other{Role::Client, kKey, true};
  std::string message = one.begin();
  EXPECT_EQ(other.begin(), "");
  for (bool to_other = true; !message.empty(); to_other = !to_other) {
    message = (to_other ? other : one).take(message);
  }
  EXPECT_TRUE(one.done() && other.done()) << one.failure() << other.failure();
  EXPECT_EQ(one.failure() + other.failure(), "");
}

TEST(Handshake, NeedsAKey) {
  EXPECT_THROW((Handshake{Role::Listener, "", false}), std::invalid_argument);
}

TEST(Handshake, ChallengesDifferEachTime) {
  Handshake one{Role::Listener, kKey, false};
  Handshake other{Role::Listener, kKey, false};
  EXPECT_NE(one.begin(), other.begin());
}

}  // namespace
}  // namespace weft::test
