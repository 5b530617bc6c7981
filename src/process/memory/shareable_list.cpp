#include <weft/process/shareable_list.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <type_traits>

#include <weft/base/error.hpp>

namespace weft::process {

namespace {

// The layout is Python's; all integers have 64 bits in native order:
//   N, the offsets of N items in the data and its end, the data, N formats of 8 characters, N codes of 1 byte.
constexpr std::size_t kWord = 8;
constexpr std::size_t kLongestFormat = 8;
constexpr char kInt[] = "q";
constexpr char kFloat[] = "d";
constexpr char kBool[] = "xxxxxxx?";
constexpr char kNone[] = "xxxxxx?x";

// How Python makes the value of what struct.unpack() gave.
enum class Code : std::int8_t { AsItIs = 0, Text = 1, Bytes = 2, None = 3 };

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

Code code_of(const ShareableItem& item) {
  return std::visit(Overloaded{[](std::monostate) { return Code::None; }, [](const std::string&) { return Code::Text; },
                               [](const ShareableItem::Bytes&) { return Code::Bytes; }, [](const auto&) { return Code::AsItIs; }},
                    item.variant());
}

/// Of text or bytes; nothing of the others.
std::span<const std::byte> characters(const ShareableItem& item) {
  if (const auto* text = std::get_if<std::string>(&item.variant())) return std::as_bytes(std::span{*text});
  if (const auto* bytes = std::get_if<ShareableItem::Bytes>(&item.variant())) return *bytes;
  return {};
}

bool has_characters(const ShareableItem& item) {
  const Code code = code_of(item);
  return code == Code::Text || code == Code::Bytes;
}

std::string characters_format(std::size_t room) { return std::to_string(room) + 's'; }
bool is_characters_format(std::string_view format) { return format.ends_with('s'); }

/// What Python chooses for a new item; for characters the next larger multiple of 8, so that there is at least one NUL.
std::string format_of(const ShareableItem& item) {
  return std::visit(Overloaded{[](std::monostate) { return std::string{kNone}; }, [](bool) { return std::string{kBool}; },
                               [](std::int64_t) { return std::string{kInt}; }, [](double) { return std::string{kFloat}; },
                               [&](const auto&) { return characters_format(kWord * (characters(item).size() / kWord + 1)); }},
                    item.variant());
}

/// Strict: no overlong forms, no surrogates, nothing beyond U+10FFFF; Python could not decode them.
bool is_utf8(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned first = at(i);
    const std::size_t more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : 3;
    if (more == 3 && (first < 0xf0 || first > 0xf4)) return false;
    for (std::size_t k = 1; k <= more; ++k)
      if ((at(i + k) & 0xc0) != 0x80) return false;
    const unsigned second = at(i + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second >= 0x90))
      return false;
    i += more + 1;
  }
  return true;
}

void require_storable(const ShareableItem& item) {
  const auto* const text = std::get_if<std::string>(&item.variant());
  if (text && !is_utf8(*text)) throw std::invalid_argument{"ShareableList: text that is not UTF-8; store it as bytes"};
}

/// Room for a list of these; checks that they can be stored.
std::size_t size_for(std::span<const ShareableItem> items) {
  std::size_t data = 0;
  for (const ShareableItem& item : items) {
    require_storable(item);
    if (format_of(item).size() > kLongestFormat)
      throw std::invalid_argument{"ShareableList: an item of " + std::to_string(characters(item).size()) +
                                  " bytes; its format has room for less than 10,000,000"};
    data += has_characters(item) ? kWord * (characters(item).size() / kWord + 1) : kWord;
  }
  return kWord * (items.size() + 2) + data + (kLongestFormat + 1) * items.size();
}

[[noreturn]] void fail_damaged(const SharedMemory& memory, const std::string& why) {
  throw ProtocolError{"ShareableList in " + (memory.name().empty() ? "anonymous memory" : '"' + memory.name() + '"') + ": " + why};
}

}  // namespace

// ---- the list ---------------------------------------------------------------------------------------------------------

namespace {

void fill(const SharedMemory& memory, std::span<const ShareableItem> items) {
  const auto words = memory.as<std::int64_t>(0, items.size() + 2);
  words[0] = static_cast<std::int64_t>(items.size());
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    words[i + 1] = offset;
    offset += static_cast<std::int64_t>(has_characters(items[i]) ? kWord * (characters(items[i]).size() / kWord + 1) : kWord);
  }
  words[items.size() + 1] = offset;
}

}  // namespace

ShareableList::ShareableList(std::span<const ShareableItem> items) : memory_{size_for(items)} {
  fill(memory_, items);
  read_offsets();
  for (std::size_t i = 0; i < items.size(); ++i) store(i, items[i], format_of(items[i]));
}

ShareableList ShareableList::create(std::string_view name, std::span<const ShareableItem> items, SharedMemoryOptions options) {
  SharedMemory memory = SharedMemory::create(name, size_for(items), options);
  fill(memory, items);
  ShareableList list{std::move(memory)};
  for (std::size_t i = 0; i < items.size(); ++i) list.store(i, items[i], format_of(items[i]));
  return list;
}

ShareableList::ShareableList(SharedMemory memory) : memory_{std::move(memory)} { read_offsets(); }

/// Once: what another process writes there later cannot lead out of the memory.
void ShareableList::read_offsets() {
  const std::size_t size = memory_.size();
  const auto words = memory_.as<std::int64_t>();
  if (words.size() < 2) fail_damaged(memory_, "there is no room for one");
  const std::int64_t count = words[0];
  if (count < 0 || static_cast<std::uint64_t>(count) > words.size() - 2) fail_damaged(memory_, "its length is not that of a list");
  std::vector<std::size_t> offsets;
  offsets.reserve(static_cast<std::size_t>(count) + 1);
  for (std::int64_t i = 0; i <= count; ++i) {
    const std::int64_t offset = words[static_cast<std::size_t>(i) + 1];
    const std::size_t before = offsets.empty() ? 0 : offsets.back() + kWord;
    const bool first = offsets.empty();
    if ((first && offset != 0) || offset < static_cast<std::int64_t>(first ? 0 : before) || static_cast<std::uint64_t>(offset) > size)
      fail_damaged(memory_, "its offsets are not those of a list as Python 3.9 and later make them");
    offsets.push_back(static_cast<std::size_t>(offset));
  }
  offsets_ = std::move(offsets);
  if (formats() + (kLongestFormat + 1) * this->size() > size) fail_damaged(memory_, "it is cut off");
}

std::size_t ShareableList::position(std::ptrdiff_t index, const char* operation) const {
  const auto length = static_cast<std::ptrdiff_t>(size());
  const std::ptrdiff_t from_start = index < 0 ? index + length : index;
  if (from_start < 0 || from_start >= length)
    throw std::out_of_range{"ShareableList of " + std::to_string(length) + ": index " + std::to_string(index) + ' ' + operation +
                            " is out of range"};
  return static_cast<std::size_t>(from_start);
}

std::span<std::byte> ShareableList::bytes(std::size_t offset, std::size_t size) const {
  if (memory_.size() < offset + size) throw InvalidStateError{"ShareableList: its memory was closed"};
  return memory_.buffer().subspan(offset, size);
}

std::span<std::byte> ShareableList::place(std::size_t position) const {
  return bytes(kWord * (size() + 2) + offsets_[position], room(position));
}

std::string ShareableList::format_at(std::size_t position) const {
  char text[kLongestFormat];
  std::memcpy(text, bytes(formats() + kLongestFormat * position, kLongestFormat).data(), kLongestFormat);
  return {text, ::strnlen(text, kLongestFormat)};
}

ShareableItem ShareableList::get(std::ptrdiff_t index) const {
  const std::size_t at = position(index, "of an item");
  const std::string format = format_at(at);
  const auto code = static_cast<Code>(bytes(formats() + kLongestFormat * size() + at, 1)[0]);
  const auto stored = place(at);
  if (code == Code::None) return nullptr;
  if (format == kBool && code == Code::AsItIs) return stored[7] != std::byte{0};
  if (format == kInt && code == Code::AsItIs) {
    std::int64_t value;
    std::memcpy(&value, stored.data(), sizeof value);
    return value;
  }
  if (format == kFloat && code == Code::AsItIs) {
    double value;
    std::memcpy(&value, stored.data(), sizeof value);
    return value;
  }
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(format.data(), format.data() + format.size(), length);
  if (error != std::errc{} || std::string_view{end} != "s" || length > stored.size() || (code != Code::Text && code != Code::Bytes))
    fail_damaged(memory_, "item " + std::to_string(at) + " has format \"" + format + "\" and code " +
                              std::to_string(static_cast<int>(code)) + ", which do not go together; was it read as it was written?");
  // As Python does: NULs at the end may be padding, and are never the value's.
  while (length > 0 && stored[length - 1] == std::byte{0}) --length;
  const auto value = stored.first(length);
  if (code == Code::Bytes) return std::span<const std::byte>{value};
  return std::string{reinterpret_cast<const char*>(value.data()), value.size()};
}

void ShareableList::set(std::ptrdiff_t index, const ShareableItem& item) {
  const std::size_t at = position(index, "of an assignment");
  require_storable(item);
  if (!has_characters(item)) return store(at, item, format_of(item));
  if (characters(item).size() > room(at))
    throw std::invalid_argument{"ShareableList: " + std::to_string(characters(item).size()) + " bytes for item " + std::to_string(at) +
                                ", which has room for " + std::to_string(room(at)) +
                                "; store something longer there when the list is made"};
  const std::string now = format_at(at);
  store(at, item, is_characters_format(now) ? now : characters_format(room(at)));
}

/// In Python's order: format, code, value.
void ShareableList::store(std::size_t position, const ShareableItem& item, const std::string& format) {
  char text[kLongestFormat] = {};
  std::memcpy(text, format.data(), std::min(format.size(), kLongestFormat));
  std::memcpy(bytes(formats() + kLongestFormat * position, kLongestFormat).data(), text, kLongestFormat);
  bytes(formats() + kLongestFormat * size() + position, 1)[0] = static_cast<std::byte>(code_of(item));
  const auto to = place(position);
  if (const auto from = characters(item); has_characters(item)) {
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
    std::memset(to.data() + from.size(), 0, to.size() - from.size());
    return;
  }
  std::byte word[kWord] = {};
  std::visit(Overloaded{[&](bool value) { word[kWord - 1] = std::byte{value}; },
                        [&](std::int64_t value) { std::memcpy(word, &value, sizeof value); },
                        [&](double value) { std::memcpy(word, &value, sizeof value); }, [](const auto&) {}},
             item.variant());
  std::memcpy(to.data(), word, kWord);
}

std::vector<ShareableItem> ShareableList::items() const { return {begin(), end()}; }

std::size_t ShareableList::count(const ShareableItem& item) const {
  return static_cast<std::size_t>(std::count(begin(), end(), item));
}

std::size_t ShareableList::index(const ShareableItem& item) const {
  for (std::size_t i = 0; i < size(); ++i)
    if (get(static_cast<std::ptrdiff_t>(i)) == item) return i;
  throw std::invalid_argument{"ShareableList: " + item.repr() + " is not in it"};
}

std::string ShareableList::format(std::ptrdiff_t index) const { return format_at(position(index, "of a format")); }

std::string ShareableList::format() const {
  std::string all;
  for (std::size_t i = 0; i < size(); ++i) all += format_at(i);
  return all;
}

// ---- items ------------------------------------------------------------------------------------------------------------

namespace {

std::string quoted(std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string shown{quote};
  for (const char c : text) {
    static constexpr char kDigits[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\' || c == quote)
      (shown += '\\') += c;
    else if (c == '\n')
      shown += "\\n";
    else if (c == '\r')
      shown += "\\r";
    else if (c == '\t')
      shown += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      ((shown += "\\x") += kDigits[byte >> 4]) += kDigits[byte & 15];
    else
      shown += c;
  }
  return shown + quote;
}

std::string shown(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  std::string number{text, end};
  return number.find_first_of(".e") == number.npos ? number + ".0" : number;
}

/// Exactly: an int64 that has no double of its value is equal to none.
bool same_number(std::int64_t left, double right) {
  return right >= -0x1p63 && right < 0x1p63 && std::trunc(right) == right && static_cast<std::int64_t>(right) == left;
}

}  // namespace

bool operator==(const ShareableItem& left, const ShareableItem& right) {
  return std::visit(
      []<class A, class B>(const A& a, const B& b) {
        constexpr bool kWholes = std::is_integral_v<A> && std::is_integral_v<B>;
        if constexpr (std::is_same_v<A, B>)
          return a == b;
        else if constexpr (kWholes)
          return static_cast<std::int64_t>(a) == static_cast<std::int64_t>(b);
        else if constexpr (std::is_integral_v<A> && std::is_same_v<B, double>)
          return same_number(a, b);
        else if constexpr (std::is_same_v<A, double> && std::is_integral_v<B>)
          return same_number(b, a);
        else
          return false;
      },
      left.value_, right.value_);
}

std::string ShareableItem::repr() const {
  return std::visit(Overloaded{[](std::monostate) { return std::string{"None"}; },
                               [](bool value) { return std::string{value ? "True" : "False"}; },
                               [](std::int64_t value) { return std::to_string(value); }, [](double value) { return shown(value); },
                               [](const std::string& text) { return quoted(text); },
                               [](const Bytes& bytes) {
                                 std::string text = "b'";
                                 for (const std::byte byte : bytes) {
                                   static constexpr char kDigits[] = "0123456789abcdef";
                                   const auto c = static_cast<unsigned char>(byte);
                                   if (c == '\\' || c == '\'')
                                     (text += '\\') += static_cast<char>(c);
                                   else if (c < 0x20 || c >= 0x7f)
                                     ((text += "\\x") += kDigits[c >> 4]) += kDigits[c & 15];
                                   else
                                     text += static_cast<char>(c);
                                 }
                                 return text + "'";
                               }},
                    value_);
}

}  // namespace weft::process
