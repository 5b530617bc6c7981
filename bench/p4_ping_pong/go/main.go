// Two goroutines pass a number back and forth through two channels; --slots 0 is Go's usual unbuffered channel.
package main

import (
	"flag"
	"sync"

	"weft/bench/common/measure"
)

func main() {
	count := flag.Int("count", 2_000_000, "round trips")
	slots := flag.Int("slots", 0, "capacity of each channel")
	flag.Parse()
	ping := make(chan uint64, *slots)
	pong := make(chan uint64, *slots)
	measure.Run(*count, func() {
		var group sync.WaitGroup
		group.Add(2)
		go func() {
			for i := 0; i < *count; i++ {
				pong <- <-ping
			}
			group.Done()
		}()
		go func() {
			for i := 0; i < *count; i++ {
				ping <- uint64(i)
				if <-pong != uint64(i) {
					panic("lost a message")
				}
			}
			group.Done()
		}()
		group.Wait()
	})
}
