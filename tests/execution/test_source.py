from workbench.execution.source import code_hash, notebook_title, read_cells


def test_the_hash_is_that_of_the_code_alone(write_notebook):
    before = code_hash(read_cells(write_notebook("a", "x = 1", title="One")))
    assert code_hash(read_cells(write_notebook("a", "x = 1", title="Two"))) == before
    assert code_hash(read_cells(write_notebook("a", "x = 2"))) != before
    assert code_hash(read_cells(write_notebook("a", "x = 1", "y = 1"))) != before
    assert code_hash(read_cells(write_notebook("a", "x =", " 1"))) != before


def test_the_title_is_the_first_heading(write_notebook):
    assert notebook_title(read_cells(write_notebook("a", title="One <b>"))) == "One <b>"
    assert notebook_title([]) == ""


def test_lines_may_be_a_list(write_notebook):
    path = write_notebook("a", "x = 1\ny = 2", "")
    assert '"x = 1\\n",' in path.read_text()
    cells = read_cells(path)
    assert cells[2].source == "x = 1\ny = 2"
    assert [cell.is_executed for cell in cells] == [False, True, True, False]
    assert [cell.is_parameters for cell in cells] == [False, True, False, False]
