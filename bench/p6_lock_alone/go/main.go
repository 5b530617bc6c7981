// sync.Mutex without competition, in a goroutine.
package main

import (
	"flag"
	"sync"

	"weft/bench/common/measure"
)

func main() {
	count := flag.Int("count", 20_000_000, "turns")
	flag.Parse()
	var mutex sync.Mutex
	measure.Run(*count, func() {
		for i := 0; i < *count; i++ {
			mutex.Lock()
			mutex.Unlock()
		}
	})
}
