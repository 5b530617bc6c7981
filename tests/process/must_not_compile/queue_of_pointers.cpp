// weft: a pointer cannot be sent to another process
// the culprit: int*
#include <weft/process/queue.hpp>
void put(weft::process::Queue<int*>& queue, int* item) { queue.put(item); }
