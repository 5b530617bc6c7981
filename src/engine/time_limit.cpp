#include <weft/detail/time_limit.hpp>

#include <cstdio>
#include <string>

namespace weft::detail {

namespace {

std::string seconds(Duration length) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", std::chrono::duration<double>(length).count());
  return text;
}

}  // namespace

void TimeLimit::throw_expired(const Context& self) {
  const TimeLimit* first = self.time_limit;
  for (const TimeLimit* limit = first; limit; limit = limit->outer_) {
    if (limit->deadline_ <= first->deadline_) first = limit;
  }
  if (!first || first->number_ == 0) throw TimeoutError{"the deadline of the scope has passed"};
  throw TimeoutExpired{"Timeout " + first->label_.text() + ": " + seconds(first->length_) + " s have passed",
                       self.id, first->number_};
}

}  // namespace weft::detail
