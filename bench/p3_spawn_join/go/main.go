// Starts an empty goroutine and waits for it, one after the other; a WaitGroup is Go's cheapest join.
package main

import (
	"flag"
	"sync"

	"weft/bench/common/measure"
)

func main() {
	count := flag.Int("count", 1_000_000, "goroutines")
	flag.Parse()
	measure.Run(*count, func() {
		for i := 0; i < *count; i++ {
			var group sync.WaitGroup
			group.Add(1)
			go func() { group.Done() }()
			group.Wait()
		}
	})
}
