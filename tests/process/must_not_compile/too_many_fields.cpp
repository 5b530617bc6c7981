// weft: an aggregate of more than 100 fields cannot be sent to another process as it is
// the culprit: T = Wide
#include <string>

#include <weft/process/process_pool_executor.hpp>

struct Wide {
  std::string name;
  int f0, g0, h0, i0;
  int f1, g1, h1, i1;
  int f2, g2, h2, i2;
  int f3, g3, h3, i3;
  int f4, g4, h4, i4;
  int f5, g5, h5, i5;
  int f6, g6, h6, i6;
  int f7, g7, h7, i7;
  int f8, g8, h8, i8;
  int f9, g9, h9, i9;
  int f10, g10, h10, i10;
  int f11, g11, h11, i11;
  int f12, g12, h12, i12;
  int f13, g13, h13, i13;
  int f14, g14, h14, i14;
  int f15, g15, h15, i15;
  int f16, g16, h16, i16;
  int f17, g17, h17, i17;
  int f18, g18, h18, i18;
  int f19, g19, h19, i19;
  int f20, g20, h20, i20;
  int f21, g21, h21, i21;
  int f22, g22, h22, i22;
  int f23, g23, h23, i23;
  int f24, g24, h24, i24;
  int f25, g25, h25, i25;
};

int show(const Wide& wide);

auto send(weft::ProcessPoolExecutor& pool, const Wide& wide) { return pool.submit(show, wide); }
