package double

// Order is the order in which a double delivers: as things come, unless another is asked for. It is used under the double's lock.
type Order struct {
	wanted    int
	held      []delivery
	reordered int
}

// delivery is one on its way, and whose it is.
type delivery struct {
	from string
	send func()
}

// Reverse holds the next n deliveries back and lets them go last first, once as many have come. What is still held from before goes
// now; with 0 that is all.
func (o *Order) Reverse(n int) {
	o.release()
	o.wanted = n
}

// Pass sends at once, or when what Reverse has asked for is there.
func (o *Order) Pass(from string, send func()) {
	o.held = append(o.held, delivery{from, send})
	if len(o.held) >= o.wanted {
		o.release()
	}
}

// Reordered is how often deliveries from one sender went in another order than they came.
func (o *Order) Reordered() int { return o.reordered }

// release sends what is held, last first.
func (o *Order) release() {
	held := o.held
	o.held, o.wanted = nil, 0
	seen := map[string]bool{}
	for i := range held {
		d := held[len(held)-1-i]
		seen[d.from] = true
		d.send()
	}
	if len(seen) < len(held) {
		o.reordered++
	}
}
