"""What a planted bug is."""

import ast
import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One bug.

    Attributes:
        name: What goes wrong, in words; unique.
        file: Where, under src/adaptax.
        old: The source as it is; it occurs once in the file.
        new: The source with the bug.
        why: Who makes this mistake, or what it does; with the trap's name where it has one.
        tests: Where it should be caught: files, folders or single tests, for pytest.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    def planted(self, source: str) -> str:
        """The source with the bug.

        Args:
            source: Of the whole file.

        Raises:
            ValueError: if the place is not unique, so that the bug would not be the one that was meant, or if what
                comes out is no other program.
        """
        count = source.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: expected in {self.file} exactly once, found {count} times:\n{self.old}")
        found = source.replace(self.old, self.new)
        if ast.dump(ast.parse(found)) == ast.dump(ast.parse(source)):
            raise ValueError(f"{self.name}: expected another program, found the same one with other spaces or comments")
        return found
