package main

import (
	"math/rand/v2"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

type kind int

const (
	counter kind = iota
	upness
	started
)

// series is one of a pod's, and how far it has been played.
type series struct {
	kind         kind
	pod          *pod
	method, code string
	labels       labels.Labels
	random       *rand.Rand

	process int64 // when the running process started
	since   int64 // until when events were counted
	value   float64
	present bool // the last scrape had it
	crashes int  // how many of the pod's were played
	failed  int  // the same for failed scrapes
	traffic rates
	truth   truth
}

// rates change with the minute: kept as long as it lasts.
type rates struct {
	minute int64
	rate   float64
}

// sample is what a scrape leaves of a series.
type sample int

const (
	nothing sample = iota
	aNumber
	staleMarker
)

func seriesOf(o options, services []*service) []*series {
	all := []*series{}
	for _, service := range services {
		for _, pod := range service.pods {
			add := func(kind kind, name, method, code string) {
				text := []string{"__name__", name, "job", "services", "instance", pod.instance, "service", service.name}
				if kind == counter {
					text = append(text, "method", method, "code", code)
				}
				all = append(all, newSeries(o, pod, kind, method, code, labels.FromStrings(text...)))
			}
			for _, method := range []string{"GET", "POST"} {
				for _, code := range service.class.codes {
					add(counter, "http_requests_total", method, code)
				}
			}
			add(upness, "up", "", "")
			add(started, "process_start_time_seconds", "", "")
		}
	}
	slices.SortFunc(all, func(a, b *series) int { return labels.Compare(a.labels, b.labels) })
	return all
}

func newSeries(o options, pod *pod, kind kind, method, code string, found labels.Labels) *series {
	one := &series{kind: kind, pod: pod, method: method, code: code, labels: found}
	one.random = o.random("series/" + found.String())
	one.process, one.since = pod.alive.from, pod.alive.from
	one.traffic.minute = -1
	one.truth.begin = o.begin
	if pod.alive.from < o.begin && kind == counter { // what it had counted before anybody looked
		seconds := float64(o.begin-pod.alive.from) / 1_000
		service := pod.service
		expected := service.rate * pod.share * part(method, code, service.errors) * seconds
		if service.class.burst {
			expected /= 6
		}
		one.value = float64(poisson(one.random, expected))
		one.since = o.begin
	}
	return one
}

// scrape plays the series up to its scrape at t, and says what that leaves.
func (s *series) scrape(t int64) sample {
	if t >= s.pod.alive.to {
		if s.since < s.pod.alive.to {
			s.count(s.pod.alive.to)
			s.since = s.pod.alive.to
		}
		return s.vanish()
	}
	isDown := s.restart(t)
	if !isDown {
		s.count(t)
	}
	blind, failed := s.unseen(t)
	switch {
	case blind:
		return nothing
	case s.kind == upness:
		s.present, s.value = true, 1
		if failed || isDown {
			s.value = 0
		}
		return aNumber
	case failed || isDown:
		return s.vanish()
	case s.kind == started:
		s.present, s.value = true, float64(s.process)/1_000
		return aNumber
	case s.pod.service.class.lazy && s.value == 0:
		return s.vanish()
	}
	s.present = true
	s.truth.seen(t, s.value)
	return aNumber
}

// vanish marks the series as stale, once.
func (s *series) vanish() sample {
	if !s.present {
		return nothing
	}
	s.present = false
	return staleMarker
}

// restart plays the crashes until t, and tells whether the pod is down then.
func (s *series) restart(t int64) bool {
	for s.crashes < len(s.pod.down) && s.pod.down[s.crashes].from <= t {
		crash := s.pod.down[s.crashes]
		if s.since <= crash.from {
			s.count(crash.from) // lost: no scrape will see them
			s.value, s.since, s.process = 0, crash.to, crash.to
		}
		if t < crash.to {
			return true
		}
		s.crashes++
	}
	return false
}

// count what happened since the last time.
func (s *series) count(t int64) {
	if s.kind != counter {
		return
	}
	service := s.pod.service
	if now := t / minute; now != s.traffic.minute {
		s.traffic = rates{now, service.load(t) * s.pod.share * part(s.method, s.code, service.failing(t)) / 1_000}
	}
	if n := poisson(s.random, s.traffic.rate*float64(t-s.since)); n > 0 {
		s.value += float64(n)
		s.truth.happened(t, n)
	}
	s.since = t
}

// unseen tells whether a scrape failed, and whether that itself went unrecorded.
func (s *series) unseen(t int64) (blind, failed bool) {
	for _, one := range s.pod.service.outages {
		if one.has(t) {
			return one.blind, true
		}
	}
	_, failed = slices.BinarySearch(s.pod.failed, t)
	return false, failed
}

func (s *series) isLate(t int64) bool {
	for _, one := range s.pod.late {
		if one.has(t) {
			return true
		}
	}
	return false
}

func (s *series) born() bool { return s.truth.known }
