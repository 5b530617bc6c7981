// Part of every test program: what ThreadSanitizer takes for races and is none.
//
// The count of references to an exception is kept inside libstdc++.so, which is not instrumented: that one thread has read an
// exception before another destroys it is not seen. Where a future hands an exception to several, this is so.
extern "C" const char* __tsan_default_suppressions() {
  return "race:std::__exception_ptr::exception_ptr::_M_release\n"
         "race:std::runtime_error::~runtime_error\n"
         "race:std::logic_error::~logic_error\n";
}
