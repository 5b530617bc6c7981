// A pool of goroutines fed by a channel; a WaitGroup waits for all, each of which has a place for its result.
package main

import (
	"flag"
	"sync"

	"weft/bench/common/measure"
)

func main() {
	count := flag.Int("count", 100_000, "tasks")
	flag.Parse()
	tasks := make(chan func(), 1024)
	for i := 0; i < 2; i++ {
		go func() {
			for task := range tasks {
				task()
			}
		}()
	}
	measure.Run(*count, func() {
		results := make([]uint64, *count)
		var all sync.WaitGroup
		all.Add(*count)
		for i := 0; i < *count; i++ {
			number := i
			tasks <- func() {
				results[number] = uint64(number)
				all.Done()
			}
		}
		all.Wait()
		var sum uint64
		for _, result := range results {
			sum += result
		}
		if sum != uint64(*count)*uint64(*count-1)/2 {
			panic("wrong sum")
		}
	})
}
