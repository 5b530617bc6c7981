// weft: a pointer in shared memory means nothing to another process
#include <weft/process/value.hpp>

struct Node {
  int number;
  Node* next;
};
struct List {
  long size;
  Node first;
};
void share() { weft::process::Value<List> list{{}}; }
