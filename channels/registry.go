package channels

import "slices"

// Registry maps a kind to its adapter. It is filled once, in app.
type Registry map[string]Adapter

// NewRegistry registers adapters under the kinds they describe.
func NewRegistry(adapters ...Adapter) Registry {
	r := Registry{}
	for _, a := range adapters {
		r[a.Describe().Kind] = a
	}
	return r
}

// Kinds returns the registered kinds in a stable order.
func (r Registry) Kinds() []string {
	kinds := make([]string, 0, len(r))
	for k := range r {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}
