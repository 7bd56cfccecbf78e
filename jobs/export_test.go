package jobs

// SendBy is what a process does that gets to run again at the deadline, or later.
var SendBy = (*Jobs).sendBy
