"""From steps to C: for each kind of step the forms that it can take, and the choice between them by cost."""
