// Numbers through one channel of 1,024, between goroutines.
package main

import (
	"flag"
	"sync"

	"weft/bench/common/measure"
)

const queueSize = 1024

func main() {
	count := flag.Int("count", 2_000_000, "items, divisible by producers and by consumers")
	producers := flag.Int("producers", 1, "goroutines that send")
	consumers := flag.Int("consumers", 1, "goroutines that receive")
	flag.Parse()
	if *count%*producers != 0 || *count%*consumers != 0 {
		panic("the items cannot be shared out equally")
	}
	queue := make(chan uint64, queueSize)
	measure.Run(*count, func() {
		sums := make(chan uint64, *consumers)
		var sent sync.WaitGroup
		sent.Add(*producers)
		for c := 0; c < *consumers; c++ {
			go func() {
				var sum uint64
				for i := 0; i < *count / *consumers; i++ {
					sum += <-queue
				}
				sums <- sum
			}()
		}
		for p := 0; p < *producers; p++ {
			go func(index int) {
				share := *count / *producers
				for i := 0; i < share; i++ {
					queue <- uint64(index*share + i)
				}
				sent.Done()
			}(p)
		}
		sent.Wait()
		var sum uint64
		for c := 0; c < *consumers; c++ {
			sum += <-sums
		}
		if sum != uint64(*count)*uint64(*count-1)/2 {
			panic("lost, doubled or spoilt an item")
		}
	})
}
