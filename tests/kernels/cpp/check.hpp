// The least that a test needs: CHECK prints what is wrong and goes on, `verdict` is what main returns.

#pragma once

#include <cstdio>

inline int failures = 0;

#define CHECK(condition, ...)                                     \
  do {                                                            \
    if (!(condition) && ++failures <= 20) {                       \
      std::printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      std::printf(__VA_ARGS__);                                   \
      std::printf("\n");                                          \
    }                                                             \
  } while (false)

inline int verdict(long long checked) {
  std::printf("%lld checked, %d failed\n", checked, failures);
  return failures == 0 && checked > 0 ? 0 : 1;
}
