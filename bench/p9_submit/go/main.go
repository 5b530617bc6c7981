// A pool of goroutines fed by a channel; each task has a channel of one for its result.
package main

import (
	"flag"

	"weft/bench/common/measure"
)

type task struct {
	number uint64
	result chan uint64
}

func main() {
	count := flag.Int("count", 300_000, "tasks")
	threads := flag.Int("threads", 2, "goroutines of the pool")
	flag.Parse()
	tasks := make(chan task, 1024)
	for i := 0; i < *threads; i++ {
		go func() {
			for t := range tasks {
				t.result <- t.number + 1
			}
		}()
	}
	measure.Run(*count, func() {
		results := make([]chan uint64, *count)
		for i := range results {
			results[i] = make(chan uint64, 1)
			tasks <- task{uint64(i), results[i]}
		}
		var sum uint64
		for _, result := range results {
			sum += <-result
		}
		if sum != uint64(*count)*uint64(*count+1)/2 {
			panic("wrong sum")
		}
	})
}
