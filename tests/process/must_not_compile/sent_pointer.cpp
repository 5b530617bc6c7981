// weft: a pointer cannot be sent to another process
// the culprit: const int*
#include <weft/process/connection.hpp>
void send(weft::process::Connection& peer, const int* number) { peer.send(number); }
