// From `go f()` on a locked thread, the nearest Go has to an outside thread, to f's begin.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"sort"
	"sync/atomic"
	"time"

	"weft/bench/common/measure"
)

func main() {
	rounds := flag.Int("rounds", 5000, "how often")
	pauseUs := flag.Int("pause-us", 200, "idle before each round")
	flag.Parse()
	runtime.LockOSThread()

	pause := time.Duration(*pauseUs) * time.Microsecond
	base := time.Now()
	var began atomic.Int64
	taken := make([]float64, *rounds)
	time.Sleep(10 * pause)
	cpu := measure.CPU()
	for i := range taken {
		began.Store(0)
		handedOver := time.Since(base)
		go func() { began.Store(int64(time.Since(base))) }()
		for {
			time.Sleep(pause)
			if began.Load() != 0 {
				break
			}
		}
		taken[i] = float64(began.Load() - int64(handedOver))
	}
	used := float64(measure.CPU()-cpu) / float64(*rounds)
	first := taken[0]
	sort.Float64s(taken)
	fmt.Printf("ns_per_op=%.0f p99_ns=%.0f cold_ns_per_op=%.0f cpu_ns_per_op=%.0f operations=%d\n",
		taken[*rounds/2], taken[*rounds*99/100], first, used, *rounds)
}
