package main

// class is a kind of traffic; the numbers of a service are drawn from its ranges.
type class struct {
	name    string
	count   int        // of 65
	rate    [2]float64 // requests a second of a whole service, by day
	errors  [2]float64 // share of 5xx among them, outside of incidents
	lasts   int64      // milliseconds until a pod is replaced
	codes   []string   // of the series that a pod has
	lazy    bool       // a series is created by its first event, not at the start
	trouble [2]float64 // share of 5xx during an incident
	burst   bool       // traffic in ten minutes of each hour alone
	young   bool       // exists for the last three days alone
	crashes bool       // processes restart under the same name, each five hours or so
	outages bool       // cannot be scraped now and then, for 20 minutes to 3 hours
	flaky   bool       // one scrape in 20,000 fails
	late    bool       // an agent delivers some samples late, in the last hours
}

var (
	three = []string{"200", "404", "500"}
	two   = []string{"200", "500"}
)

// classes in the order in which a small month takes them.
var classes = []class{
	{name: "steady", count: 16, rate: [2]float64{20, 160}, errors: [2]float64{2e-4, 8e-4}, lasts: 3 * day,
		codes: three, trouble: [2]float64{0.01, 0.2}},
	{name: "lowlazy", count: 8, rate: [2]float64{0.015, 0.03}, errors: [2]float64{3e-3, 8e-3}, lasts: 3 * day,
		codes: two, lazy: true, trouble: [2]float64{0.1, 0.5}},
	{name: "churny", count: 6, rate: [2]float64{2, 6}, errors: [2]float64{1e-3, 3e-3}, lasts: 12 * hour,
		codes: three, lazy: true, trouble: [2]float64{0.02, 0.3}},
	{name: "crashy", count: 5, rate: [2]float64{5, 20}, errors: [2]float64{1e-3, 4e-3}, lasts: 3 * day,
		codes: three, trouble: [2]float64{0.02, 0.3}, crashes: true, flaky: true},
	{name: "gappy", count: 5, rate: [2]float64{5, 20}, errors: [2]float64{1e-3, 4e-3}, lasts: 3 * day,
		codes: three, trouble: [2]float64{0.02, 0.3}, outages: true, flaky: true},
	{name: "batch", count: 4, rate: [2]float64{5, 20}, errors: [2]float64{1e-3, 4e-3}, lasts: 3 * day,
		codes: three, trouble: [2]float64{0.02, 0.3}, burst: true},
	{name: "medium", count: 12, rate: [2]float64{0.5, 5}, errors: [2]float64{2e-3, 6e-3}, lasts: 3 * day,
		codes: three, trouble: [2]float64{0.02, 0.3}, flaky: true, late: true},
	{name: "loweager", count: 4, rate: [2]float64{0.015, 0.03}, errors: [2]float64{3e-3, 8e-3}, lasts: 3 * day,
		codes: two, trouble: [2]float64{0.1, 0.5}},
	{name: "new3d", count: 2, rate: [2]float64{5, 20}, errors: [2]float64{1e-3, 4e-3}, lasts: 3 * day,
		codes: three, trouble: [2]float64{0.02, 0.3}, young: true},
	{name: "noerr", count: 2, rate: [2]float64{0.5, 5}, lasts: 3 * day, codes: []string{"200", "404"}},
	{name: "idle", count: 1, lasts: 3 * day, codes: three},
}

// fleetClass is that of the many services which exist for the last hours alone.
var fleetClass = class{name: "fleet", rate: [2]float64{0.5, 5}, errors: [2]float64{1e-3, 1e-2},
	lasts: 365 * day, codes: two}

// dealt gives the class of each of n services: one of each class, then another of each that has more.
func dealt(n int) []*class {
	left := make([]int, len(classes))
	for i := range classes {
		left[i] = classes[i].count
	}
	given := []*class{}
	for len(given) < n {
		before := len(given)
		for i := range classes {
			if left[i] > 0 && len(given) < n {
				left[i]--
				given = append(given, &classes[i])
			}
		}
		if len(given) == before {
			break
		}
	}
	return given
}
