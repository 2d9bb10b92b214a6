package delivery

// Watch looks for provider trouble in the ends of sends, over all lanes: enough in a row, or half of the last
// many. Its zero value is ready; it is not safe for concurrent use.
type Watch struct {
	last  [watched]bool
	n     int // ends seen, of which the last ones are in last
	bad   int // among them
	inRow int
}

const (
	watched      = 100 // ends that are remembered
	badInRow     = 20
	badOfHundred = 50
)

// Saw takes the end of one send, in trouble or not, and reports whether the channel should be suspended. After
// it did, it begins anew.
func (w *Watch) Saw(trouble bool) bool {
	at := w.n % watched
	if w.n >= watched && w.last[at] {
		w.bad--
	}
	w.last[at] = trouble
	w.n++
	if trouble {
		w.bad++
		w.inRow++
	} else {
		w.inRow = 0
	}
	if w.inRow < badInRow && (w.n < watched || w.bad < badOfHundred) {
		return false
	}
	*w = Watch{}
	return true
}
