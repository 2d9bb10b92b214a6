package api

// Limit is how many entries of a list a caller wants.
type Limit struct {
	Limit int `query:"limit" minimum:"1" default:"100" doc:"At most this many; never more than 500"`
}

const maxLimit = 500

func (l Limit) size() int { return min(l.Limit, maxLimit) }

// fetch is how many to read: one more than asked for, which tells whether there is a next page.
func (l Limit) fetch() int { return l.size() + 1 }

// cut makes a page of what was fetched, and the cursor of the page after it, "" if there is none.
func cut[T any](fetched []T, l Limit, cursor func(T) string) (page []T, next string) {
	if len(fetched) <= l.size() {
		return fetched, ""
	}
	page = fetched[:l.size()]
	return page, cursor(page[len(page)-1])
}
