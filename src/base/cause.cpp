#include "base/cause.hpp"

#include <cstring>

namespace weft::detail {

std::string cause_of(const std::exception_ptr& failure) {
  if (!failure) return "an exception of another language";  // which current_exception() does not know
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (const char* text) {
    return text ? text : "a null pointer that was thrown";
  } catch (const std::string& text) {
    return text;
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

std::string describe_exit(int exit_code) {
  if (exit_code >= 0) return "exited with code " + std::to_string(exit_code);
  const char* const name = ::strsignal(-exit_code);
  return "was ended by signal " + std::to_string(-exit_code) + " (" + (name ? name : "unknown") + ')';
}

}  // namespace weft::detail
