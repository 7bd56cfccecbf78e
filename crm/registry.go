package crm

// Registry maps a kind of CRM to its adapter. It is filled once, in app.
type Registry map[string]Adapter

// NewRegistry registers adapters under their kinds.
func NewRegistry(adapters ...Adapter) Registry {
	r := Registry{}
	for _, a := range adapters {
		r[a.Kind()] = a
	}
	return r
}
