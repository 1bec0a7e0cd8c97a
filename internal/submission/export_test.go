package submission

// Waiters returns how many requests are registered as waiting for an outcome.
func (s *Service) Waiters() (n int) {
	s.waiters.mu.Lock()
	defer s.waiters.mu.Unlock()
	for _, of := range s.waiters.ids {
		n += len(of)
	}
	return n
}
