// Parks N goroutines on one channel and prints what each costs; run with GOMAXPROCS=1, as weft runs with one worker.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"weft/bench/common/measure"
)

func memory() (resident, pageTable float64) {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kilobytes, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			resident = kilobytes * 1024
		case "VmPTE:":
			pageTable = kilobytes * 1024
		}
	}
	return
}

func main() {
	count := flag.Int("count", 1_000_000, "goroutines")
	flag.Parse()
	gate := make(chan struct{})
	var arrived, left sync.WaitGroup
	arrived.Add(*count)
	left.Add(*count)

	residentBefore, pageTableBefore := memory()
	cpuBegin := measure.CPU()
	begin := time.Now()
	for i := 0; i < *count; i++ {
		go func() {
			arrived.Done()
			<-gate
			left.Done()
		}()
	}
	arrived.Wait()
	runtime.Gosched()
	wall := time.Since(begin)
	cpu := measure.CPU() - cpuBegin
	resident, pageTable := memory()
	maps, _ := os.ReadFile("/proc/self/maps")

	begin = time.Now()
	close(gate)
	left.Wait()
	release := time.Since(begin)

	per := float64(*count)
	fmt.Printf("bytes_per_fiber=%.0f resident_bytes=%.0f page_table_bytes=%.0f mappings=%d ns_per_op=%.1f "+
		"cpu_ns_per_op=%.1f release_ns=%.1f\n",
		(resident-residentBefore+pageTable-pageTableBefore)/per, (resident-residentBefore)/per,
		(pageTable-pageTableBefore)/per, strings.Count(string(maps), "\n"),
		float64(wall.Nanoseconds())/per, float64(cpu)/per, float64(release.Nanoseconds())/per)
}
