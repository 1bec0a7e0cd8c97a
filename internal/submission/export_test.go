package submission

// Waiters is how many registrations the service holds for requests that wait for an outcome.
func (s *Service) Waiters() (n int) {
	s.waiters.mu.Lock()
	defer s.waiters.mu.Unlock()
	for _, of := range s.waiters.ids {
		n += len(of)
	}
	return n
}
