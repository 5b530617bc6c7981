// Starts N empty goroutines and waits for all of them; GOMAXPROCS says on how many processors.
package main

import (
	"flag"
	"sync"

	"weft/bench/common/measure"
)

func main() {
	count := flag.Int("count", 1_000_000, "goroutines")
	batches := flag.Int("batches", 1, "times, within one measurement")
	flag.Parse()
	measure.Run(*count**batches, func() {
		for b := 0; b < *batches; b++ {
			var group sync.WaitGroup
			group.Add(*count)
			for i := 0; i < *count; i++ {
				go func() { group.Done() }()
			}
			group.Wait()
		}
	})
}
