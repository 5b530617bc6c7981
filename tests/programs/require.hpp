#pragma once

#include <unistd.h>

#include <cstdio>

/// For programs that fork: says what is not so, and ends this process at once.
#define REQUIRE(condition)                                                   \
  do {                                                                       \
    if (!(condition)) {                                                      \
      std::fprintf(stderr, "line %d: %s is not so\n", __LINE__, #condition); \
      ::_exit(1);                                                            \
    }                                                                        \
  } while (false)
