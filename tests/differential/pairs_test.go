package differential

import (
	"fmt"
	"testing"
)

// cover chooses rows, each one level for every factor (sizes gives how many a factor has), such that any two levels of
// two factors meet in so many rows at least. It is greedy and always gives the same.
func cover(sizes []int, times int) [][]int {
	p := newPairs(sizes, times)
	var rows [][]int
	for p.open > 0 {
		row := p.next()
		p.take(row)
		rows = append(rows, row)
	}
	return rows
}

// pairs counts how often each pair of levels must still meet.
type pairs struct {
	sizes  []int
	first  []int // the number of a factor's first level, when all levels are counted through
	need   [][]int
	open   int // how many pairs must still meet
	served []int
}

func newPairs(sizes []int, times int) *pairs {
	p := &pairs{sizes: sizes}
	all := 0
	for _, n := range sizes {
		p.first = append(p.first, all)
		all += n
	}
	p.served = make([]int, all)
	p.need = make([][]int, all)
	for i := range p.need {
		p.need[i] = make([]int, all)
	}
	p.each(func(a, b int) { p.need[a][b], p.need[b][a] = times, times; p.open++ })
	return p
}

// each calls f for every pair of levels of two factors.
func (p *pairs) each(f func(a, b int)) {
	for i := range p.sizes {
		for j := i + 1; j < len(p.sizes); j++ {
			for a := range p.sizes[i] {
				for b := range p.sizes[j] {
					f(p.first[i]+a, p.first[j]+b)
				}
			}
		}
	}
}

// next makes a row: the neediest pair, and then for each other factor the level that meets most of what it should.
func (p *pairs) next() []int {
	most, from, to := 0, 0, 0
	p.each(func(a, b int) {
		if p.need[a][b] > most {
			most, from, to = p.need[a][b], a, b
		}
	})
	row := make([]int, len(p.sizes))
	for i := range row {
		row[i] = -1
	}
	p.fix(row, from)
	p.fix(row, to)
	for i := range row {
		if row[i] < 0 {
			row[i] = p.best(row, i)
		}
	}
	return row
}

// fix sets a level, counted through, in the row.
func (p *pairs) fix(row []int, level int) {
	for i := range p.sizes {
		if l := level - p.first[i]; l >= 0 && l < p.sizes[i] {
			row[i] = l
		}
	}
}

// best is the level of the factor that fits the row best; of equals the one that was used least.
func (p *pairs) best(row []int, factor int) int {
	best, bestGain := 0, -1
	for l := range p.sizes[factor] {
		level, gain := p.first[factor]+l, 0
		for i, other := range row {
			if other >= 0 {
				gain += p.need[level][p.first[i]+other]
			}
		}
		if gain > bestGain || gain == bestGain && p.served[level] < p.served[p.first[factor]+best] {
			best, bestGain = l, gain
		}
	}
	return best
}

// take counts what meets in the row.
func (p *pairs) take(row []int) {
	for i := range row {
		a := p.first[i] + row[i]
		p.served[a]++
		for j := i + 1; j < len(row); j++ {
			b := p.first[j] + row[j]
			if p.need[a][b] == 0 {
				continue
			}
			p.need[a][b]--
			p.need[b][a]--
			if p.need[a][b] == 0 {
				p.open--
			}
		}
	}
}

func TestCover(t *testing.T) {
	sizes := []int{5, 3, 3, 2, 4, 2, 3}
	met := map[string]int{}
	rows := cover(sizes, 2)
	for _, row := range rows {
		for i := range row {
			for j := i + 1; j < len(row); j++ {
				met[fmt.Sprint(i, row[i], j, row[j])]++
			}
		}
	}
	for i := range sizes {
		for j := i + 1; j < len(sizes); j++ {
			for a := range sizes[i] {
				for b := range sizes[j] {
					if n := met[fmt.Sprint(i, a, j, b)]; n < 2 {
						t.Errorf("level %d of factor %d and level %d of factor %d meet %d times", a, i, b, j, n)
					}
				}
			}
		}
	}
	if len(rows) > 60 {
		t.Errorf("%d rows; 40 are the least", len(rows))
	}
}
