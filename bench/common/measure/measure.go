// Package measure times a body as common/measure.hpp does for the C++ programs.
package measure

import (
	"flag"
	"fmt"
	"sort"
	"syscall"
	"time"
	"unsafe"
)

var repeat = flag.Int("repeat", 3, "warm runs after the cold one")

// CPU returns the CPU time of the whole process in nanoseconds.
func CPU() int64 {
	const clockProcessCPUTime = 2
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockProcessCPUTime, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// Run runs body, which does the given number of operations, once cold and then --repeat times, and prints one line.
func Run(operations int, body func()) {
	per := float64(operations)
	begin := time.Now()
	body()
	cold := float64(time.Since(begin).Nanoseconds()) / per
	if *repeat < 1 {
		*repeat = 1
	}
	wall := make([]float64, *repeat)
	cpu := make([]float64, *repeat)
	for i := range wall {
		cpuBegin := CPU()
		begin := time.Now()
		body()
		wall[i] = float64(time.Since(begin).Nanoseconds()) / per
		cpu[i] = float64(CPU()-cpuBegin) / per
	}
	sort.Float64s(wall)
	sort.Float64s(cpu)
	fmt.Printf("ns_per_op=%.2f cpu_ns_per_op=%.2f cold_ns_per_op=%.2f operations=%d\n",
		wall[len(wall)/2], cpu[len(cpu)/2], cold, operations)
}
