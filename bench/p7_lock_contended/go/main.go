// Goroutines that compete for one sync.Mutex, as hammer.hpp has threads do it.
package main

import (
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"weft/bench/common/measure"
)

// A cache line each, as in hammer.hpp.
type guarded struct {
	sync.Mutex
	turns uint64
	_     [48]byte
}

type flagLine struct {
	atomic.Bool
	_ [60]byte
}

func main() {
	threads := flag.Int("threads", 2, "goroutines")
	milliseconds := flag.Int("milliseconds", 1000, "how long")
	inside := flag.Int("inside", 0, "steps of work with the lock held")
	outside := flag.Int("outside", 0, "steps of work between two turns")
	flag.Parse()

	shared := new(guarded)
	stop := new(flagLine)
	turns := make([]uint64, *threads)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(*threads)
	done.Add(*threads)
	for i := range turns {
		go func(own *uint64) {
			ready.Done()
			<-start
			var count, value uint64
			for !stop.Load() {
				shared.Lock()
				shared.turns++
				value = measure.Work(value, *inside)
				shared.Unlock()
				count++
				value = measure.Work(value, *outside)
			}
			*own = count
			sink.Store(value)
			done.Done()
		}(&turns[i])
	}
	ready.Wait()
	cpu := measure.CPU()
	begin := time.Now()
	close(start)
	time.Sleep(time.Duration(*milliseconds) * time.Millisecond)
	stop.Store(true)
	done.Wait()
	wall := float64(time.Since(begin).Nanoseconds())
	used := float64(measure.CPU() - cpu)

	var all uint64
	least, most := turns[0], turns[0]
	for _, count := range turns {
		all += count
		if count < least {
			least = count
		}
		if count > most {
			most = count
		}
	}
	if all != shared.turns {
		panic("two were inside at once")
	}
	fmt.Printf("ns_per_op=%.2f cpu_ns_per_op=%.2f fairness=%.3f operations=%d\n",
		wall/float64(all), used/float64(all), float64(least)/float64(most), all)
}

// So that the work is not left out.
var sink atomic.Uint64
