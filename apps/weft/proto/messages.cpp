#include "proto/messages.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace weft::app {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 3> kPolicyNames = {"refuse", "overwrite", "rename"};
// Nothing in the protocol is deeper than 3; the parser's memory for deep nesting would be the sender's to spend.
constexpr int kMaxNesting = 8;

std::string shortened(std::string_view text) {
  constexpr std::size_t kShown = 80;
  return text.size() <= kShown ? escaped(text) : escaped(text.substr(0, kShown)) + "...";
}

bool is_nested_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

json parse_object(std::string_view frame) {
  if (is_nested_too_deep(frame))
    throw BadMessage("control message: JSON nested too deep: " + shortened(frame));
  json object = json::parse(frame, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) throw BadMessage("control message: not a JSON object: " + shortened(frame));
  return object;
}

/// Typed access to the fields of one message; complains with the name of the field.
class Fields {
 public:
  Fields(const json& object, std::string_view type) : object_(object), type_(type) {}

  [[nodiscard]] std::string text(const char* key) const { return get_text(need(key), key); }
  [[nodiscard]] std::string text_or(const char* key, std::string fallback) const {
    const json* value = find(key);
    return value ? get_text(*value, key) : std::move(fallback);
  }
  [[nodiscard]] std::uint64_t number(const char* key) const { return get_number(need(key), key); }
  [[nodiscard]] std::uint64_t number_or(const char* key, std::uint64_t fallback) const {
    const json* value = find(key);
    return value ? get_number(*value, key) : fallback;
  }
  [[nodiscard]] std::int64_t integer_or(const char* key, std::int64_t fallback) const {
    const json* value = find(key);
    if (!value) return fallback;
    if (!value->is_number_integer()) fail(key, "an integer");
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > kMaxSigned)
      fail(key, "an integer of 64 bits");
    return value->get<std::int64_t>();
  }
  [[nodiscard]] bool flag_or(const char* key, bool fallback) const {
    const json* value = find(key);
    if (!value) return fallback;
    if (!value->is_boolean()) fail(key, "true or false");
    return value->get<bool>();
  }
  /// A SHA-256 in hexadecimal, or empty when absent.
  [[nodiscard]] std::string digest(const char* key) const {
    std::string hex = text_or(key, "");
    if (!hex.empty() &&
        (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)) {
      fail(key, "64 lower-case hexadecimal digits");
    }
    return hex;
  }
  [[nodiscard]] const json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() ? nullptr : &*it;
  }
  [[noreturn]] void fail(const char* key, const char* expected) const {
    throw BadMessage(fmt::format("control message \"{}\": \"{}\" must be {}", type_, key, expected));
  }

 private:
  // Sizes and offsets must fit off_t.
  static constexpr std::uint64_t kMaxSigned = std::numeric_limits<std::int64_t>::max();

  const json& need(const char* key) const {
    const json* value = find(key);
    if (!value) throw BadMessage(fmt::format("control message \"{}\": \"{}\" is missing", type_, key));
    return *value;
  }
  std::string get_text(const json& value, const char* key) const {
    if (!value.is_string()) fail(key, "a string");
    return value.get<std::string>();
  }
  std::uint64_t get_number(const json& value, const char* key) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMaxSigned)
      fail(key, "a number from 0 to 2^63 - 1");
    return value.get<std::uint64_t>();
  }

  const json& object_;
  std::string_view type_;
};

std::string message_type(const json& object) {
  const auto it = object.find("msg_type");
  if (it == object.end() || !it->is_string())
    throw BadMessage("control message: \"msg_type\" is missing or no string");
  return it->get<std::string>();
}

[[noreturn]] void fail_unknown(std::string_view type) {
  throw BadMessage(fmt::format("control message: unknown \"msg_type\" \"{}\"", shortened(type)));
}

Policy parse_policy(const Fields& fields) {
  const std::string text = fields.text_or("policy", "refuse");
  for (std::size_t i = 0; i < kPolicyNames.size(); ++i) {
    if (text == kPolicyNames[i]) return static_cast<Policy>(i);
  }
  fields.fail("policy", "\"refuse\", \"overwrite\" or \"rename\"");
}

std::uint32_t parse_mode(const Fields& fields) {
  const std::uint64_t mode = fields.number_or("mode", 0644);
  if (mode > 0777) fields.fail("mode", "a number from 0 to 511 (octal 777)");
  return static_cast<std::uint32_t>(mode);
}

Code parse_code_field(const Fields& fields) {
  // A code of a later version is still a failure.
  return parse_code(fields.text("code")).value_or(Code::Io);
}

Hello parse_hello(const Fields& f) {
  return {f.integer_or("version", 0), f.text_or("client", ""), f.text_or("token", "")};
}

Put parse_put(const Fields& f) {
  Put put;
  put.id = f.number("id");
  put.name = f.text("name");
  put.size = f.number("size");
  put.mtime_ns = f.integer_or("mtime_ns", 0);
  put.mode = parse_mode(f);
  put.policy = parse_policy(f);
  put.checks = f.flag_or("checks", true);
  put.eager = f.flag_or("eager", false);
  put.sha256 = f.digest("sha256");
  return put;
}

End parse_end(const Fields& f) {
  return {f.number("id"), f.digest("sha256"), f.flag_or("aborted", false)};
}

Get parse_get(const Fields& f) {
  return {f.number("id"), f.text("name"), f.number_or("offset", 0), f.digest("prefix_sha256"),
          f.flag_or("checks", true)};
}

Welcome parse_welcome(const Fields& f) {
  return {f.integer_or("version", 0), f.text_or("server", ""), f.number("chunk_bytes"),
          f.flag_or("may_read", false), f.flag_or("may_write", false)};
}

Entry parse_entry(const json& object) {
  if (!object.is_object()) throw BadMessage("control message \"entries\": an entry is no object");
  const Fields f(object, "entries");
  return {f.text("name"), f.flag_or("folder", false), f.number_or("size", 0), f.integer_or("mtime_ns", 0)};
}

Entries parse_entries(const Fields& f) {
  Entries entries{f.number("id"), {}, f.number_or("hidden", 0), f.flag_or("more", false)};
  const json* list = f.find("entries");
  if (!list || !list->is_array()) f.fail("entries", "an array");
  for (const json& entry : *list) entries.entries.push_back(parse_entry(entry));
  return entries;
}

FileHead parse_file_head(const Fields& f) {
  return {f.number("id"), f.number("size"), f.integer_or("mtime_ns", 0), parse_mode(f),
          f.number_or("offset", 0)};
}

std::string dump(const json& object) {
  // Names were checked to be UTF-8, but texts may quote what a peer or a file system said.
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

json entry_json(const Entry& e) {
  if (e.is_folder) return {{"name", e.name}, {"folder", true}, {"mtime_ns", e.mtime_ns}};
  return {{"name", e.name}, {"size", e.size}, {"mtime_ns", e.mtime_ns}};
}

}  // namespace

PlainRequest parse_plain_request(std::string_view frame) {
  const json object = parse_object(frame);
  const std::string type = message_type(object);
  const Fields fields(object, type);
  if (type == "msg") return PlainText{};
  if (type == "file") return PlainFile{fields.text("file_name")};
  if (type == "hello") return parse_hello(fields);
  fail_unknown(type);
}

Request parse_request(std::string_view frame) {
  const json object = parse_object(frame);
  const std::string type = message_type(object);
  const Fields f(object, type);
  if (type == "put") return parse_put(f);
  if (type == "go") return Go{f.number("id"), f.number("offset")};
  if (type == "end") return parse_end(f);
  if (type == "mkdir") return MakeFolder{f.number("id"), f.text("name")};
  if (type == "list") return List{f.number("id"), f.text_or("name", ""), f.flag_or("recursive", false)};
  if (type == "get") return parse_get(f);
  if (type == "digest") return DigestOf{f.number("id"), f.text("name")};
  if (type == "say") return Say{f.number("id"), f.text("text")};
  if (type == "wait") return Wait{f.number_or("id", 0)};
  fail_unknown(type);
}

Response parse_response(std::string_view frame) {
  const json object = parse_object(frame);
  const std::string type = message_type(object);
  const Fields f(object, type);
  if (type == "hello") return parse_welcome(f);
  if (type == "ready") return Ready{f.number("id"), f.number("offset"), f.digest("prefix_sha256")};
  if (type == "done") return Done{f.number("id"), f.text_or("name", ""), f.digest("sha256")};
  if (type == "entries") return parse_entries(f);
  if (type == "file") return parse_file_head(f);
  if (type == "end") return parse_end(f);
  if (type == "error")
    return Failed{f.number("id"), parse_code_field(f), f.text_or("text", ""), f.number_or("size", 0)};
  if (type == "bye") return Bye{parse_code_field(f), f.text_or("text", ""), f.number_or("id", 0)};
  if (type == "wait") return Wait{f.number_or("id", 0)};
  fail_unknown(type);
}

std::string to_json(const PlainText&) {
  return R"({"msg_type":"msg"})";
}
std::string to_json(const PlainFile& m) {
  return dump({{"msg_type", "file"}, {"file_name", m.name}});
}

std::string to_json(const Hello& m) {
  json object = {{"msg_type", "hello"}, {"version", m.version}, {"client", m.client}};
  if (!m.token.empty()) object["token"] = m.token;
  return dump(object);
}

std::string to_json(const Put& m) {
  json object = {
      {"msg_type", "put"}, {"id", m.id}, {"name", m.name}, {"size", m.size}, {"mtime_ns", m.mtime_ns}};
  if (m.mode != 0644) object["mode"] = m.mode;
  if (m.policy != Policy::Refuse) object["policy"] = kPolicyNames[static_cast<std::size_t>(m.policy)];
  if (!m.checks) object["checks"] = false;
  if (m.eager) object["eager"] = true;
  if (!m.sha256.empty()) object["sha256"] = m.sha256;
  return dump(object);
}

std::string to_json(const Go& m) {
  return dump({{"msg_type", "go"}, {"id", m.id}, {"offset", m.offset}});
}

std::string to_json(const End& m) {
  json object = {{"msg_type", "end"}, {"id", m.id}};
  if (!m.sha256.empty()) object["sha256"] = m.sha256;
  if (m.aborted) object["aborted"] = true;
  return dump(object);
}

std::string to_json(const MakeFolder& m) {
  return dump({{"msg_type", "mkdir"}, {"id", m.id}, {"name", m.name}});
}

std::string to_json(const List& m) {
  return dump({{"msg_type", "list"}, {"id", m.id}, {"name", m.name}, {"recursive", m.recursive}});
}

std::string to_json(const Get& m) {
  json object = {{"msg_type", "get"}, {"id", m.id}, {"name", m.name}};
  if (m.offset != 0) {
    object["offset"] = m.offset;
    object["prefix_sha256"] = m.prefix_sha256;
  }
  if (!m.checks) object["checks"] = false;
  return dump(object);
}

std::string to_json(const DigestOf& m) {
  return dump({{"msg_type", "digest"}, {"id", m.id}, {"name", m.name}});
}
std::string to_json(const Say& m) {
  return dump({{"msg_type", "say"}, {"id", m.id}, {"text", m.text}});
}
std::string to_json(const Wait& m) {
  return dump({{"msg_type", "wait"}, {"id", m.id}});
}

std::string to_json(const Welcome& m) {
  return dump({{"msg_type", "hello"},
               {"version", m.version},
               {"server", m.server},
               {"chunk_bytes", m.chunk_bytes},
               {"may_read", m.may_read},
               {"may_write", m.may_write}});
}

std::string to_json(const Ready& m) {
  json object = {{"msg_type", "ready"}, {"id", m.id}, {"offset", m.offset}};
  if (!m.prefix_sha256.empty()) object["prefix_sha256"] = m.prefix_sha256;
  return dump(object);
}

std::string to_json(const Done& m) {
  json object = {{"msg_type", "done"}, {"id", m.id}};
  if (!m.name.empty()) object["name"] = m.name;
  if (!m.sha256.empty()) object["sha256"] = m.sha256;
  return dump(object);
}

std::string to_json(const Entries& m) {
  json list = json::array();
  for (const Entry& entry : m.entries) list.push_back(entry_json(entry));
  return dump(
      {{"msg_type", "entries"}, {"id", m.id}, {"entries", list}, {"hidden", m.hidden}, {"more", m.more}});
}

std::string to_json(const FileHead& m) {
  return dump({{"msg_type", "file"},
               {"id", m.id},
               {"size", m.size},
               {"mtime_ns", m.mtime_ns},
               {"mode", m.mode},
               {"offset", m.offset}});
}

std::string to_json(const Failed& m) {
  json object = {{"msg_type", "error"}, {"id", m.id}, {"code", code_text(m.code)}, {"text", m.text}};
  if (m.size != 0) object["size"] = m.size;
  return dump(object);
}

std::string to_json(const Bye& m) {
  json object = {{"msg_type", "bye"}, {"code", code_text(m.code)}, {"text", m.text}};
  if (m.id != 0) object["id"] = m.id;
  return dump(object);
}

}  // namespace weft::app
