package measure

// Work does steps multiplications and additions, each of which waits for the one before, as common/work.hpp does.
func Work(value uint64, steps int) uint64 {
	for ; steps != 0; steps-- {
		value = value*6364136223846793005 + 1442695040888963407
	}
	return value
}
