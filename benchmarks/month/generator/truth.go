package main

import (
	"bufio"
	"encoding/json"
	"os"
)

const bucket = 5 * minute

// truth of one series, in buckets of five minutes: bucket n holds what was scraped in (begin + 5n, begin + 5n + 5].
type truth struct {
	begin   int64
	known   bool
	last    float64
	first   int64 // number of the bucket in which counting begins
	scraped []int64
	real    []int64
}

// seen counts the growth since the last sample; after a reset, and for a series born inside, all of the value.
func (t *truth) seen(at int64, value float64) {
	growth := value
	switch {
	case !t.known && at < t.begin+interval:
		growth = 0 // older than the month: what it had counted was before
	case t.known && value >= t.last:
		growth = value - t.last
	}
	t.known, t.last = true, value
	if growth > 0 {
		t.scraped = t.added(t.scraped, at, int64(growth))
	}
}

// happened counts events whether or not any scrape ever tells of them.
func (t *truth) happened(at, events int64) { t.real = t.added(t.real, at, events) }

func (t *truth) added(counts []int64, at, events int64) []int64 {
	number := (at - t.begin - 1) / bucket
	if len(t.scraped) == 0 && len(t.real) == 0 {
		t.first = number
	}
	for int64(len(counts)) <= number-t.first {
		counts = append(counts, 0)
	}
	counts[number-t.first] += events
	return counts
}

type truthLine struct {
	Service  string  `json:"service"`
	Instance string  `json:"instance"`
	Method   string  `json:"method"`
	Code     string  `json:"code"`
	First    int64   `json:"first"`
	Scraped  []int64 `json:"scraped"`
	Real     []int64 `json:"real"`
}

// writeTruth writes one line for each counter that was ever seen or ever counted.
func writeTruth(path string, all []*series) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	encoder := json.NewEncoder(buffered)
	for _, one := range all {
		if one.kind != counter || (!one.truth.known && len(one.truth.real) == 0) {
			continue
		}
		found := one.truth
		line := truthLine{one.pod.service.name, one.pod.instance, one.method, one.code, found.first,
			emptyNotNull(found.scraped), emptyNotNull(found.real)}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return file.Close()
}

func emptyNotNull(counts []int64) []int64 {
	if counts == nil {
		return []int64{}
	}
	return counts
}
