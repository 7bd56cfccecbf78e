package jobs

import "time"

// defaultLease is the lease of a lane where Jobs.Lease is not set.
const defaultLease = time.Minute

// lease is how long a lane, a job or a channel to be polled belongs to who took it. Every call to the outside has a deadline
// that is a part of it and is counted from before the lease was taken: it ends before the lease does, also in a process that
// was frozen in between.
func (j *Jobs) lease() time.Duration {
	if j.Lease <= 0 {
		return defaultLease
	}
	return j.Lease
}

// The deadlines, with what they are by default.
func (j *Jobs) sendDeadline() time.Duration { return j.lease() / 3 }      // 20 s: one call to a messenger
func (j *Jobs) sendPatience() time.Duration { return j.lease() / 30 }     // 2 s: a lane that takes longer has no place of its own
func (j *Jobs) foreTime() time.Duration     { return j.lease() / 12 }     // 5 s: in which what must be seen before its outcome is written
func (j *Jobs) settleTime() time.Duration   { return j.lease() / 2 }      // 30 s: in which its outcome must be written down
func (j *Jobs) proofWait() time.Duration    { return j.lease() / 2 }      // 30 s: after an unknown outcome, for an echo to prove it
func (j *Jobs) pushDeadline() time.Duration { return j.lease() * 5 / 12 } // 25 s: everything a push, or a step of Synchronize, calls at the CRM
func (j *Jobs) pollLease() time.Duration    { return j.lease() * 2 }      // 2 min: of a channel; each poll prolongs it
func (j *Jobs) pollDeadline() time.Duration { return j.lease() * 5 / 4 }  // 75 s: one long poll with the storing of what it brought

// lockedPause is how long to leave lanes alone that others are changing: about as long as our transactions take, and longer from
// try to try, as who takes longer is stuck. Hints wait no longer than for this.
func lockedPause(tries int) time.Duration {
	return min(5*time.Millisecond<<min(tries, 10), 100*time.Millisecond)
}
