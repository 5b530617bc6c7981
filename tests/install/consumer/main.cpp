#include <weft/weft.hpp>

#include <cstdio>

int main() {
  const int answer = weft::spawn([] { return 42; }).get();
  std::printf("%d\n", answer);
  return answer == 42 ? 0 : 1;
}
