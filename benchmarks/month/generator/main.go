// Command generator writes a seeded month of scraped counters as TSDB blocks, and the truth about them.
//
// It is compiled against the Prometheus module that tests/testbed/tools/prometheus pins, so that what it
// writes is what the pinned server reads. A month of 65 services is some 230 million samples: remote
// write would take the better part of an hour, and the head of the TSDB ten minutes; encoding chunks series by
// series takes one.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const (
	interval = int64(15_000) // milliseconds between two scrapes
	minute   = int64(60_000)
	hour     = 60 * minute
	day      = 24 * hour
)

// options is the size and the seed of a month; the same options give the same bytes.
type options struct {
	seed     uint64
	begin    int64 // milliseconds since the epoch
	days     int64
	services int
	fleet    int
	out      string
}

func (o options) end() int64 { return o.begin + o.days*day }

func main() {
	o := options{}
	flag.Uint64Var(&o.seed, "seed", 1, "the same seed gives the same bytes")
	flag.Int64Var(&o.begin, "begin", 1_790_812_800_000, "first millisecond since the epoch")
	flag.Int64Var(&o.days, "days", 31, "length of the month")
	flag.IntVar(&o.services, "services", 65, "services of the month, dealt out over all classes")
	flag.IntVar(&o.fleet, "fleet", 1_000, "services of 4 series each in the last 6 hours")
	flag.StringVar(&o.out, "out", "", "folder to write into")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "generator:", err)
		os.Exit(1)
	}
}

// run writes `blocks/` (what is on time), `late/` (what arrives late), `truth.jsonl` and `month.json`.
func run(o options) error {
	services := planned(o)
	all := seriesOf(o, services)
	written, err := writeBlocks(o, all)
	if err != nil {
		return err
	}
	if err := writeTruth(filepath.Join(o.out, "truth.jsonl"), all); err != nil {
		return err
	}
	return writeSummary(o, services, all, written)
}

type summary struct {
	Seed     uint64           `json:"seed"`
	Begin    int64            `json:"begin"`
	End      int64            `json:"end"`
	Interval int64            `json:"interval"`
	Series   int              `json:"series"`
	Live     int              `json:"live"`
	Samples  uint64           `json:"samples"`
	Late     uint64           `json:"late"`
	Services []serviceSummary `json:"services"`
}

type serviceSummary struct {
	Name    string     `json:"name"`
	Class   string     `json:"class"`
	Live    int        `json:"live"`
	Outages [][2]int64 `json:"outages"`
	Late    [][2]int64 `json:"late"`
}

func writeSummary(o options, services []*service, all []*series, written counts) error {
	told := summary{Seed: o.seed, Begin: o.begin, End: o.end(), Interval: interval}
	told.Samples, told.Late = written.onTime, written.late
	live := map[*service]int{}
	for _, one := range all {
		if one.kind == counter && one.born() {
			told.Series++
			if one.present {
				live[one.pod.service]++
				told.Live++
			}
		}
	}
	for _, one := range services {
		line := serviceSummary{one.name, one.class.name, live[one], [][2]int64{}, [][2]int64{}}
		for _, outage := range one.outages {
			line.Outages = append(line.Outages, [2]int64{outage.from, outage.to})
		}
		for _, late := range one.late {
			line.Late = append(line.Late, [2]int64{late.from, late.to})
		}
		told.Services = append(told.Services, line)
	}
	text, err := json.MarshalIndent(told, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.out, "month.json"), text, 0o644)
}
