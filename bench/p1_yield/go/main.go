// Two goroutines yield to each other; run with GOMAXPROCS=1.
package main

import (
	"flag"
	"runtime"
	"sync"

	"weft/bench/common/measure"
)

//go:noinline
func countUp(count int) {
	for i := 0; i < count; i++ {
		runtime.Gosched()
	}
}

//go:noinline
func countDown(count int) {
	for left := 2 * count; left != 0; left -= 2 {
		runtime.Gosched()
	}
}

func main() {
	count := flag.Int("count", 5_000_000, "yields of each goroutine")
	bodies := flag.Int("bodies", 1, "1: both run the same code, 2: each its own")
	flag.Parse()
	second := countUp
	if *bodies != 1 {
		second = countDown
	}
	measure.Run(2**count, func() {
		var group sync.WaitGroup
		group.Add(2)
		go func() { countUp(*count); group.Done() }()
		go func() { second(*count); group.Done() }()
		group.Wait()
	})
}
